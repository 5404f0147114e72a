// Package onpar is github.com/poy/onpar under the module path that it had when the program was written.
package onpar

import "github.com/poy/onpar"

type Onpar = onpar.Onpar

var New = onpar.New
