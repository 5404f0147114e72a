// main.go - serves the gNMI Subscribe of github.com/openconfig/gnmi as it is, from its cache of one device.
//
// The argument is the port; 0: any. The first line of the output is the port, each later one the count of the
// streaming calls that are open. Each line of the input is the new value of the path /orders.
package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/openconfig/gnmi/cache"
	"github.com/openconfig/gnmi/proto/gnmi"
	"github.com/openconfig/gnmi/subscribe"
	"google.golang.org/grpc"
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

func update(value string) *gnmi.Notification {
	path := &gnmi.Path{Elem: []*gnmi.PathElem{{Name: "orders"}}}
	typed := &gnmi.TypedValue{Value: &gnmi.TypedValue_StringVal{StringVal: value}}
	return &gnmi.Notification{Timestamp: time.Now().UnixNano(), Prefix: &gnmi.Path{Target: "device"},
		Update: []*gnmi.Update{{Path: path, Val: typed}}}
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	devices := cache.New([]string{"device"})
	service, err := subscribe.NewServer(devices)
	must(err)
	devices.SetClient(service.Update)
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Args[1])
	must(err)
	calls := &openCalls{}
	server := grpc.NewServer(grpc.StreamInterceptor(calls.intercept))
	gnmi.RegisterGNMIServer(server, service)
	go server.Serve(listener)
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		must(devices.GnmiUpdate(update(lines.Text())))
	}
}
