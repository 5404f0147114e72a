module foreign/services/gnmi

go 1.26.0

require (
	github.com/openconfig/gnmi v0.14.1
	google.golang.org/grpc v1.85.0
)

tool github.com/openconfig/gnmi/cmd/gnmi_cli
