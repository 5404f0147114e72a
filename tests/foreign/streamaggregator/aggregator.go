// Package streamaggregator has the names of the Go package code.cloudfoundry.org/go-stream-aggregator, and
// nothing of its code. A program that was written for that package runs against a tributaryd instead, unchanged.
//
// Each producer is an endpoint of the daemon (activation PER_CONSUMER), which dials this process
// (upstream.go). Each consumer is a Subscribe. So everything between the two, who is activated when, with which
// request, who is cancelled, what is delivered, and when a stream ends, is the daemon's doing.
//
// The differences to the original:
//   - A request and a value cross a process. They are encoded with encoding/gob. Of a pointer, what it points to
//     arrives, as the value itself. A type of one's own is registered with gob.Register. A channel, a function,
//     and a type that is not registered cannot cross: Consume panics, and a producer's call ends with an error.
//     A request has at most 64 KiB, a value 1 MiB.
//   - Behind the channel that Consume returns there are the daemon's channel, of the same length (at least 1), and
//     what gRPC has under way: about 256 KiB. So a producer may be that far ahead of its consumer.
//   - A producer and a consumer have an hour to end. The original waits for ever.
//   - The functions have no error result. Where the daemon refuses something they panic.
package streamaggregator

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"log"
	"os"
	"sync"
	"time"

	"code.cloudfoundry.org/go-stream-aggregator/internal/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
)

const (
	patience = 30 * time.Second // for an answer of the daemon, and for a cancel to come back
	theEnd   = time.Hour        // for a producer or a consumer that ends
	window   = 64 * 1024        // bytes that gRPC takes for a stream which is not read
)

// daemon is the connection of the process to the tributaryd that $TRIBUTARY_SERVER names.
var daemon = sync.OnceValue(func() *grpc.ClientConn {
	connection, err := grpc.NewClient(os.Getenv("TRIBUTARY_SERVER"),
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithInitialWindowSize(window),
		grpc.WithInitialConnWindowSize(64*window))
	if err != nil {
		panic(err)
	}
	return connection
})

// StreamAggregator is a set of producers of the daemon, and who consumes from it.
type StreamAggregator struct {
	name string // its producers are those with the label set=name
	log  *log.Logger

	lock      sync.Mutex // held while the daemon is asked to change the set
	producers map[string]*producer
}

// StreamAggregatorOption is an option of New.
type StreamAggregatorOption func(*StreamAggregator)

// WithLogger sets where a stream that the daemon has ended is logged. The default is nowhere.
func WithLogger(logger *log.Logger) StreamAggregatorOption {
	return func(aggregator *StreamAggregator) { aggregator.log = logger }
}

// New returns an aggregator without producers.
func New(options ...StreamAggregatorOption) *StreamAggregator {
	aggregator := &StreamAggregator{
		name: token("set"), log: log.New(io.Discard, "", 0), producers: map[string]*producer{},
	}
	for _, option := range options {
		option(aggregator)
	}
	return aggregator
}

// Producer writes values to `c` until `ctx` is cancelled. It is called once for each consumer.
type Producer interface {
	Produce(ctx context.Context, request interface{}, c chan<- interface{})
}

// ProducerFunc is a function that is a Producer.
type ProducerFunc func(ctx context.Context, request interface{}, c chan<- interface{})

// Produce calls the function.
func (function ProducerFunc) Produce(ctx context.Context, request interface{}, c chan<- interface{}) {
	function(ctx, request, c)
}

// AddProducer adds a producer, for the consumers of now and of later. It replaces one of the same key.
func (aggregator *StreamAggregator) AddProducer(key string, p Producer) {
	aggregator.lock.Lock()
	defer aggregator.lock.Unlock()
	added := serve(p)
	endpoint := &v1.Endpoint{
		Name:       aggregator.producerName(key),
		Address:    added.address,
		Method:     v1.Upstream_Produce_FullMethodName,
		Metadata:   map[string]string{tokenKey: added.token},
		Labels:     map[string]string{"set": aggregator.name},
		Activation: v1.Endpoint_PER_CONSUMER,
		Restart:    v1.Endpoint_NEVER,
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, err := v1.NewAdminClient(daemon()).AddProducer(ctx, &v1.AddProducerRequest{
		Endpoint: endpoint, OnDuplicate: v1.AddProducerRequest_REPLACE,
	})
	must(err)
	before := aggregator.producers[key]
	aggregator.producers[key] = added
	if before != nil {
		before.gone()
	}
}

// RemoveProducer removes a producer. When it returns, the context of each of its calls is cancelled.
func (aggregator *StreamAggregator) RemoveProducer(key string) {
	aggregator.lock.Lock()
	defer aggregator.lock.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, err := v1.NewAdminClient(daemon()).RemoveProducer(ctx, &v1.RemoveProducerRequest{
		Name: aggregator.producerName(key), Mode: v1.RemoveProducerRequest_DRAIN,
		Deadline: durationpb.New(theEnd),
	})
	removed := aggregator.producers[key]
	if removed == nil && status.Code(err) == codes.NotFound {
		return
	}
	must(err)
	delete(aggregator.producers, key)
	removed.gone()
}

// producerName returns the name that the producer of a key has at the daemon: names cannot have every byte.
func (aggregator *StreamAggregator) producerName(key string) string {
	if len(key) > 64 {
		return fmt.Sprintf("%s/long-%x", aggregator.name, sha256.Sum256([]byte(key)))
	}
	return fmt.Sprintf("%s/%x", aggregator.name, key)
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
