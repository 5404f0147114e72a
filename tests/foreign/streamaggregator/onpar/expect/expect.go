// Package expect is that of github.com/poy/onpar.
package expect

import "github.com/poy/onpar/expect"

var Expect = expect.Expect
