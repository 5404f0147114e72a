// main.go - serves the health service of google.golang.org/grpc as it is.
//
// The argument is the port; 0: any. The first line of the output is the port, each later one the count of the
// streaming calls that are open. Each line of the input is the new status of the service "orders".
package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
)

type openCalls struct {
	lock  sync.Mutex
	count int
}

func (calls *openCalls) add(change int) {
	calls.lock.Lock()
	defer calls.lock.Unlock()
	calls.count += change
	fmt.Println(calls.count)
}

func (calls *openCalls) intercept(service any, stream grpc.ServerStream, _ *grpc.StreamServerInfo,
	handler grpc.StreamHandler) error {
	calls.add(1)
	defer calls.add(-1)
	return handler(service, stream)
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Args[1])
	if err != nil {
		panic(err)
	}
	calls := &openCalls{}
	server := grpc.NewServer(grpc.StreamInterceptor(calls.intercept))
	service := health.NewServer()
	grpc_health_v1.RegisterHealthServer(server, service)
	go server.Serve(listener)
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		status := grpc_health_v1.HealthCheckResponse_ServingStatus_value[lines.Text()]
		service.SetServingStatus("orders", grpc_health_v1.HealthCheckResponse_ServingStatus(status))
	}
}
