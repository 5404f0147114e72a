module github.com/apoydence/onpar

go 1.26.0

require github.com/poy/onpar v1.1.2
