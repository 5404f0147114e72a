// client.go - publishes and subscribes with grpc-go, or with connect-go on net/http, as fast as it goes.
//
// Settings are NAME=VALUE arguments, see main(). It prints its counts as one JSON object, and exits with
// 1 where a call failed that must not fail.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "foreign/v1"
	"foreign/v1/v1connect"
)

type settings map[string]string

func (s settings) number(name string) int {
	number, err := strconv.Atoi(s[name])
	if err != nil {
		log.Fatalf("%s=%s: not a number", name, s[name])
	}
	return number
}

func (s settings) seconds(name string) time.Duration {
	return time.Duration(s.number(name)) * time.Second
}

func (s settings) events() []*pb.Event {
	events := make([]*pb.Event, s.number("pack"))
	for i := range events {
		events[i] = &pb.Event{Topic: "foreign", Data: make([]byte, s.number("size"))}
	}
	return events
}

type counts struct {
	Published int64   `json:"published"`
	Confirmed int64   `json:"confirmed"`
	Received  int64   `json:"received"`
	Lost      int64   `json:"lost"`
	Seconds   float64 `json:"seconds"`
	Note      string  `json:"note,omitempty"`
}

// publishing is one PublishStream, of either library.
type publishing interface {
	Send(*pb.PublishStreamRequest) error
	CloseSend() error
	Recv() (*pb.PublishStreamResponse, error)
}

// batches gives the next batch of a subscription, io.EOF after the last one.
type batches func() (*pb.EventBatch, error)

// link is one connection, of either library.
type link interface {
	publish(context.Context) (publishing, error)
	subscribe(context.Context, *pb.SubscribeRequest) (batches, error)
	finish(context.Context, *pb.FinishRequest) error
}

type grpcLink struct{ conn *grpc.ClientConn }

func newGrpcLink(s settings) grpcLink {
	options := []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}
	if every := s.seconds("keepalive"); every > 0 {
		options = append(options, grpc.WithKeepaliveParams(keepalive.ClientParameters{
			Time: every, Timeout: 5 * time.Second, PermitWithoutStream: true}))
	}
	if window := int32(s.number("window")); window > 0 {
		options = append(options, grpc.WithInitialWindowSize(window), grpc.WithInitialConnWindowSize(window))
	}
	conn, err := grpc.NewClient(s["address"], options...)
	if err != nil {
		log.Fatal(err)
	}
	return grpcLink{conn}
}

func (l grpcLink) publish(ctx context.Context) (publishing, error) {
	return pb.NewPublisherClient(l.conn).PublishStream(ctx)
}

func (l grpcLink) subscribe(ctx context.Context, request *pb.SubscribeRequest) (batches, error) {
	stream, err := pb.NewSubscriberClient(l.conn).Subscribe(ctx, request)
	if err != nil {
		return nil, err
	}
	return stream.Recv, nil
}

func (l grpcLink) finish(ctx context.Context, request *pb.FinishRequest) error {
	_, err := pb.NewSubscriberClient(l.conn).Finish(ctx, request)
	return err
}

type connectLink struct {
	client *http.Client
	base   string
}

func newConnectLink(s settings) connectLink {
	transport := &http.Transport{Protocols: &http.Protocols{}}
	transport.Protocols.SetUnencryptedHTTP2(true)
	transport.HTTP2 = &http.HTTP2Config{
		MaxReadFrameSize: s.number("frame"), SendPingTimeout: s.seconds("keepalive")}
	return connectLink{&http.Client{Transport: transport}, "http://" + s["address"]}
}

type connectStream struct {
	*connect.BidiStreamForClient[pb.PublishStreamRequest, pb.PublishStreamResponse]
}

func (s connectStream) CloseSend() error                         { return s.CloseRequest() }
func (s connectStream) Recv() (*pb.PublishStreamResponse, error) { return s.Receive() }

func (l connectLink) publish(ctx context.Context) (publishing, error) {
	client := v1connect.NewPublisherClient(l.client, l.base, connect.WithGRPC())
	return connectStream{client.PublishStream(ctx)}, nil
}

func (l connectLink) subscriber() v1connect.SubscriberClient {
	return v1connect.NewSubscriberClient(l.client, l.base, connect.WithGRPC())
}

func (l connectLink) subscribe(ctx context.Context, request *pb.SubscribeRequest) (batches, error) {
	stream, err := l.subscriber().Subscribe(ctx, connect.NewRequest(request))
	if err != nil {
		return nil, err
	}
	return func() (*pb.EventBatch, error) {
		if stream.Receive() {
			return stream.Msg(), nil
		}
		if err := stream.Err(); err != nil {
			return nil, err
		}
		return nil, io.EOF
	}, nil
}

func (l connectLink) finish(ctx context.Context, request *pb.FinishRequest) error {
	_, err := l.subscriber().Finish(ctx, connect.NewRequest(request))
	return err
}

// publishStream sends messages until the time is over, and reads every answer.
func publishStream(ctx context.Context, l link, s settings, until time.Time, c *counts) error {
	stream, err := l.publish(ctx)
	if err != nil {
		return err
	}
	answered := make(chan error, 1)
	var confirmed uint64
	go func() {
		for {
			answer, err := stream.Recv()
			if err != nil {
				answered <- err
				return
			}
			if len(answer.Refused) > 0 {
				answered <- fmt.Errorf("refused: %v", answer.Refused[0])
				return
			}
			confirmed = answer.ConfirmedBatch
		}
	}()
	request := &pb.PublishStreamRequest{Producer: s["name"], Events: s.events()}
	for time.Now().Before(until) {
		if err := stream.Send(request); err != nil {
			break // its reason comes with the answers
		}
		c.Published += int64(len(request.Events))
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	if err := <-answered; !errors.Is(err, io.EOF) {
		return err
	}
	c.Confirmed = int64(confirmed) * int64(len(request.Events))
	return nil
}

// publishUnary keeps `calls` calls of Publish in flight until the time is over.
func publishUnary(ctx context.Context, l grpcLink, s settings, until time.Time, c *counts) error {
	client := pb.NewPublisherClient(l.conn)
	request := &pb.PublishRequest{Producer: s["name"], Events: s.events()}
	failures := make(chan error, s.number("calls"))
	var workers sync.WaitGroup
	for range s.number("calls") {
		workers.Go(func() {
			for time.Now().Before(until) {
				atomic.AddInt64(&c.Published, int64(len(request.Events)))
				if _, err := client.Publish(ctx, request); err != nil {
					failures <- err
					return
				}
				atomic.AddInt64(&c.Confirmed, int64(len(request.Events)))
			}
		})
	}
	workers.Wait()
	close(failures)
	return <-failures
}

// cancelCalls makes `cancels` calls of Publish each second with a deadline of 1 ms, and as many streams that
// it cancels at once. They share the publisher's connection, and nobody subscribes to what they publish.
func cancelCalls(ctx context.Context, l grpcLink, s settings, until time.Time, c *counts) {
	client := pb.NewPublisherClient(l.conn)
	request := &pb.PublishRequest{Producer: s["name"] + "-cancelled", Events: s.events()}
	var late, finished atomic.Int64
	var calls sync.WaitGroup
	tick := time.NewTicker(time.Second / time.Duration(s.number("cancels")))
	for time.Now().Before(until) {
		<-tick.C
		calls.Go(func() {
			short, cancel := context.WithTimeout(ctx, time.Millisecond)
			defer cancel()
			_, err := client.Publish(short, request)
			switch status.Code(err) {
			case codes.OK:
				finished.Add(1)
			case codes.DeadlineExceeded:
				late.Add(1)
			default:
				log.Fatal(err)
			}
			opened, abandon := context.WithCancel(ctx)
			if _, err := client.PublishStream(opened); err != nil {
				log.Fatal(err)
			}
			abandon()
		})
	}
	calls.Wait()
	c.Note = fmt.Sprintf("%d of %d calls met their 1 ms", finished.Load(), finished.Load()+late.Load())
}

// stayIdle does nothing but pings, on a connection without calls, until the time is over.
func stayIdle(ctx context.Context, l grpcLink, until time.Time) error {
	idle, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	l.conn.Connect()
	for l.conn.GetState() != connectivity.Ready {
		if !l.conn.WaitForStateChange(idle, l.conn.GetState()) {
			return errors.New("not connected")
		}
	}
	if l.conn.WaitForStateChange(idle, connectivity.Ready) {
		return fmt.Errorf("the idle connection became %v", l.conn.GetState())
	}
	return nil
}

// receive counts the events that arrive and those that are lost, until the stream ends.
func receive(next batches, c *counts) error {
	for {
		batch, err := next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, run := range batch.Runs {
			c.Received += int64(len(run.Events))
		}
		for _, lost := range batch.Lost {
			c.Lost += int64(lost.Count)
		}
	}
}

func publish(ctx context.Context, l link, s settings, until time.Time, c *counts) error {
	switch s["shape"] {
	case "unary":
		return publishUnary(ctx, l.(grpcLink), s, until, c)
	case "cancel":
		var canceller sync.WaitGroup
		canceller.Go(func() { cancelCalls(ctx, l.(grpcLink), s, until, c) })
		defer canceller.Wait()
	case "idle":
		if err := stayIdle(ctx, l.(grpcLink), until); err != nil {
			return err
		}
		until = time.Now().Add(time.Second)
	}
	return publishStream(ctx, l, s, until, c)
}

func run(ctx context.Context, s settings) (c counts, err error) {
	newLink := func() link { return newGrpcLink(s) }
	if s["shape"] == "connect" {
		newLink = func() link { return newConnectLink(s) }
	}
	subscriber, publisher := newLink(), newLink()
	buffer := &pb.Buffer{}
	if s["overflow"] == "block" {
		buffer = &pb.Buffer{Overflow: pb.Overflow_OVERFLOW_BLOCK, BlockTimeout: durationpb.New(30 * time.Second)}
	}
	next, err := subscriber.subscribe(ctx, &pb.SubscribeRequest{
		Selectors: []*pb.Selector{{Producer: s["name"]}}, Buffer: buffer})
	if err != nil {
		return c, err
	}
	first, err := next()
	if err != nil {
		return c, err
	}
	received := make(chan error, 1)
	go func() { received <- receive(next, &c) }()

	began := time.Now()
	if err := publish(ctx, publisher, s, began.Add(s.seconds("seconds")), &c); err != nil {
		return c, fmt.Errorf("publishing: %w", err)
	}
	c.Seconds = time.Since(began).Seconds()
	if err := subscriber.finish(ctx, &pb.FinishRequest{
		SubscriptionId: first.Started.SubscriptionId, Drain: durationpb.New(30 * time.Second)}); err != nil {
		return c, fmt.Errorf("finishing: %w", err)
	}
	if err := <-received; err != nil {
		return c, fmt.Errorf("subscribing: %w", err)
	}
	return c, nil
}

func main() {
	// window, frame, keepalive: 0 is the library's default. calls is for the shape unary, cancels for cancel.
	s := settings{"address": "", "name": "go", "seconds": "10", "pack": "64", "size": "128", "overflow": "block",
		"shape": "stream", "window": "0", "frame": "0", "keepalive": "0", "calls": "100", "cancels": "100"}
	for _, argument := range os.Args[1:] {
		name, value, _ := strings.Cut(argument, "=")
		s[name] = value
	}
	c, err := run(context.Background(), s)
	if err != nil {
		log.Fatal(err)
	}
	_ = json.NewEncoder(os.Stdout).Encode(c)
}
