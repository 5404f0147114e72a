package streamaggregator

import (
	"bytes"
	"context"
	"encoding/gob"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"code.cloudfoundry.org/go-stream-aggregator/internal/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const tokenKey = "streamaggregator-producer" // metadata of each call that the daemon makes for a producer

var lastToken atomic.Int64

// token returns a name that nothing else has, in this process and, at a daemon, in others.
func token(prefix string) string {
	return fmt.Sprintf("%s-%d-%d", prefix, time.Now().UnixNano(), lastToken.Add(1))
}

// producer is what the daemon dials for one AddProducer.
type producer struct {
	Producer
	token, address string

	lock  sync.Mutex
	calls map[context.Context]bool // those whose context is not cancelled yet
}

// upstream serves Upstream.Produce for all producers of this process.
type upstream struct {
	v1.UnimplementedUpstreamServer
	address   string
	producers sync.Map // token -> *producer
}

var theUpstream = sync.OnceValue(func() *upstream {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	server, served := grpc.NewServer(), &upstream{address: listener.Addr().String()}
	v1.RegisterUpstreamServer(server, served)
	go server.Serve(listener)
	return served
})

func serve(p Producer) *producer {
	served := theUpstream()
	added := &producer{Producer: p, token: token("producer"), address: served.address,
		calls: map[context.Context]bool{}}
	served.producers.Store(added.token, added)
	return added
}

// gone waits until the daemon has cancelled each call of a producer that it was told to remove.
func (p *producer) gone() {
	theUpstream().producers.Delete(p.token)
	p.lock.Lock()
	var calls []context.Context
	for call := range p.calls {
		calls = append(calls, call)
	}
	p.lock.Unlock()
	late := time.After(patience)
	for _, call := range calls {
		select {
		case <-call.Done():
		case <-late:
			panic("the daemon has not cancelled a call of a producer that was removed")
		}
	}
}

func (p *producer) begin() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	p.lock.Lock()
	defer p.lock.Unlock()
	p.calls[ctx] = true
	return ctx, func() {
		cancel()
		p.lock.Lock()
		defer p.lock.Unlock()
		delete(p.calls, ctx)
	}
}

// Produce is one call of a producer for one consumer. The producer's context is cancelled when the daemon says
// stop, or cancels the call. A producer that has returned keeps its call until then, as in the original.
func (served *upstream) Produce(stream grpc.BidiStreamingServer[v1.ProduceControl, v1.EventBatch]) error {
	headers, _ := metadata.FromIncomingContext(stream.Context())
	found, known := served.producers.Load(strings.Join(headers.Get(tokenKey), ""))
	if !known {
		return status.Error(codes.NotFound, "this producer was removed")
	}
	control, err := stream.Recv()
	if err != nil {
		return err
	}
	request, err := decode(control.GetStart().GetRequest())
	if err != nil {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	p := found.(*producer)
	ctx, cancel := p.begin()
	defer cancel()
	go func() {
		_, _ = stream.Recv() // stop, or the end of the call
		cancel()
	}()
	values, returned := make(chan interface{}), make(chan struct{})
	go func() {
		defer close(returned)
		p.Produce(ctx, request, values)
	}()
	if err = send(stream, values, returned); err != nil {
		go discard(values, returned)
		return err
	}
	<-ctx.Done()
	return nil
}

// send sends each value, until the producer has returned or a value cannot be sent.
func send(stream grpc.BidiStreamingServer[v1.ProduceControl, v1.EventBatch], values <-chan interface{},
	returned <-chan struct{}) error {
	for {
		select {
		case value := <-values:
			data, err := encode(value)
			if err != nil {
				return status.Error(codes.InvalidArgument, err.Error())
			}
			event := &v1.Event{Data: data, ContentType: "application/x-gob"}
			if err := stream.Send(&v1.EventBatch{Runs: []*v1.Run{{Events: []*v1.Event{event}}}}); err != nil {
				return err
			}
		case <-returned:
			return nil
		}
	}
}

// discard reads what a producer writes whose call is over.
func discard(values <-chan interface{}, returned <-chan struct{}) {
	for {
		select {
		case <-values:
		case <-returned:
			return
		}
	}
}

// wire is what gob encodes: a value of any type, nil too.
type wire struct {
	Value interface{}
}

func encode(value interface{}) ([]byte, error) {
	var out bytes.Buffer
	err := gob.NewEncoder(&out).Encode(wire{value})
	return out.Bytes(), err
}

func decode(data []byte) (interface{}, error) {
	var value wire
	err := gob.NewDecoder(bytes.NewReader(data)).Decode(&value)
	return value.Value, err
}
