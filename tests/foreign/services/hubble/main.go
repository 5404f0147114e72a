// main.go - serves cilium's own Hubble observer of one node, as cilium's agent does. Only the flows are made
// here: those of the kernel are not to be had.
//
// Arguments: the port (0: any), the name of the node, and how many flows a second it makes by itself (0: none).
// The first line of the output is the port, each later one the count of the streaming calls that are open. Each
// line of the input is "SIZE COUNT": COUNT more flows, each with a URL that has SIZE bytes more.
//
// The observer's ring shows a flow when the next one is written: the newest is never seen.
package main

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	observerpb "github.com/cilium/cilium/api/v1/observer"
	relaypb "github.com/cilium/cilium/api/v1/relay"
	v1 "github.com/cilium/cilium/pkg/hubble/api/v1"
	"github.com/cilium/cilium/pkg/hubble/container"
	"github.com/cilium/cilium/pkg/hubble/observer"
	"github.com/cilium/cilium/pkg/hubble/observer/namespace"
	"github.com/cilium/cilium/pkg/hubble/observer/observeroption"
	"github.com/cilium/cilium/pkg/hubble/observer/types"
	"github.com/cilium/cilium/pkg/hubble/server"
	"github.com/cilium/cilium/pkg/hubble/server/serveroption"
	nodetypes "github.com/cilium/cilium/pkg/node/types"
	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
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

// node is the observer of one node. Its GetNodes answers as relay's does; that of an agent is unimplemented.
type node struct {
	*observer.LocalObserverServer
	name, address string
	lock          sync.Mutex
	flows         int
}

func (node *node) GetNodes(ctx context.Context, _ *observerpb.GetNodesRequest) (*observerpb.GetNodesResponse,
	error) {
	status, err := node.ServerStatus(ctx, &observerpb.ServerStatusRequest{})
	if err != nil {
		return nil, err
	}
	return &observerpb.GetNodesResponse{Nodes: []*observerpb.Node{{
		Name: node.name, Address: node.address, State: relaypb.NodeState_NODE_CONNECTED,
		Version: status.Version, UptimeNs: status.UptimeNs, NumFlows: status.NumFlows,
		MaxFlows: status.MaxFlows, SeenFlows: status.SeenFlows,
	}}}, nil
}

// flow returns the flow of a number: from one of four pods to one of three, every fifth one dropped.
func (node *node) flow(number, size int) *flowpb.Flow {
	flow := &flowpb.Flow{
		Verdict: flowpb.Verdict_FORWARDED,
		Type:    flowpb.FlowType_L3_L4,
		IP: &flowpb.IP{Source: fmt.Sprintf("10.0.1.%d", number%4), Destination: fmt.Sprintf("10.0.2.%d", number%3),
			IpVersion: flowpb.IPVersion_IPv4},
		L4: &flowpb.Layer4{Protocol: &flowpb.Layer4_TCP{TCP: &flowpb.TCP{
			SourcePort: uint32(1024 + number%60000), DestinationPort: 8080, Flags: &flowpb.TCPFlags{ACK: true}}}},
		Source: &flowpb.Endpoint{ID: uint32(1 + number%4), Namespace: "shop",
			PodName: fmt.Sprintf("orders-%d", number%4), Labels: []string{"k8s:app=orders"}},
		Destination: &flowpb.Endpoint{ID: uint32(11 + number%3), Namespace: "bank",
			PodName: fmt.Sprintf("accounts-%d", number%3), Labels: []string{"k8s:app=accounts"}},
		EventType:        &flowpb.CiliumEventType{Type: 4},
		TrafficDirection: flowpb.TrafficDirection_EGRESS,
		NodeName:         node.name,
		Summary:          fmt.Sprintf("flow %d", number),
	}
	if number%5 == 0 {
		flow.Verdict, flow.DropReasonDesc = flowpb.Verdict_DROPPED, flowpb.DropReason_POLICY_DENIED
		flow.EventType = &flowpb.CiliumEventType{Type: 1, SubType: int32(flowpb.DropReason_POLICY_DENIED)}
	}
	if size > 0 {
		url := "http://accounts/?" + strings.Repeat("é=1&", size/5) + strings.Repeat("x", size%5)
		flow.Type, flow.EventType = flowpb.FlowType_L7, &flowpb.CiliumEventType{Type: 129}
		flow.L7 = &flowpb.Layer7{Type: flowpb.L7FlowType_REQUEST, Record: &flowpb.Layer7_Http{
			Http: &flowpb.HTTP{Method: "GET", Url: url, Protocol: "HTTP/1.1"}}}
	}
	return flow
}

// write makes one more flow.
func (node *node) write(size int) {
	node.lock.Lock()
	defer node.lock.Unlock()
	data, err := proto.Marshal(node.flow(node.flows, size))
	must(err)
	node.flows++
	node.GetEventsChannel() <- &types.MonitorEvent{UUID: uuid.New(), Timestamp: time.Now(), NodeName: node.name,
		Payload: &types.PerfEvent{Data: data}}
}

func (node *node) writeAtRate(rate int) {
	for range time.Tick(time.Second / time.Duration(rate)) {
		node.write(0)
	}
}

// decoder stands where cilium's parser of packets does: the data of an event are the flow itself.
type decoder struct{}

func (decoder) Decode(event *types.MonitorEvent) (*v1.Event, error) {
	flow := &flowpb.Flow{}
	if err := proto.Unmarshal(event.Payload.(*types.PerfEvent).Data, flow); err != nil {
		return nil, err
	}
	flow.Uuid, flow.Time = event.UUID.String(), timestamppb.New(event.Timestamp)
	return &v1.Event{Timestamp: flow.Time, Event: flow}, nil
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func serve(node *node, listener net.Listener) {
	calls := &openCalls{}
	listen := func(options *serveroption.Options) error {
		options.Listener = listener
		return nil
	}
	server, err := server.NewServer(slog.New(slog.DiscardHandler), listen, serveroption.WithInsecure(),
		serveroption.WithHealthService(), serveroption.WithObserverService(node),
		serveroption.WithGRPCStreamInterceptor(calls.intercept))
	must(err)
	must(server.Serve())
}

func main() {
	name := os.Args[2]
	rate, err := strconv.Atoi(os.Args[3])
	must(err)
	nodetypes.SetName(name)
	local, err := observer.NewLocalServer(decoder{}, namespace.NewManager(), slog.New(slog.DiscardHandler),
		observeroption.WithMaxFlows(container.Capacity16383))
	must(err)
	go local.Start()
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Args[1])
	must(err)
	node := &node{LocalObserverServer: local, name: name, address: listener.Addr().String()}
	node.write(0)
	node.write(0)
	for local.GetRingBuffer().Len() < 2 {
		time.Sleep(time.Millisecond) // the observer reads its queue in a goroutine of its own
	}
	go serve(node, listener)
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	if rate > 0 {
		go node.writeAtRate(rate)
	}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		var size, count int
		_, err := fmt.Sscan(lines.Text(), &size, &count)
		must(err)
		for range count {
			node.write(size)
		}
	}
}
