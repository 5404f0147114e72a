// Package matchers has of github.com/poy/onpar/matchers what tests of the aggregator use.
package matchers

import "github.com/poy/onpar/matchers"

var (
	Always     = matchers.Always
	BeClosed   = matchers.BeClosed
	Chain      = matchers.Chain
	Equal      = matchers.Equal
	Fetch      = matchers.Fetch
	HaveLen    = matchers.HaveLen
	Or         = matchers.Or
	Receive    = matchers.Receive
	ViaPolling = matchers.ViaPolling
)
