module foreign/services/hubble

go 1.26.0

require (
	github.com/cilium/cilium v1.20.2
	github.com/google/uuid v1.6.0
	google.golang.org/grpc v1.85.0
	google.golang.org/protobuf v1.36.12
)

tool github.com/cilium/cilium/hubble
