package streamaggregator

import (
	"context"
	"io"

	"code.cloudfoundry.org/go-stream-aggregator/internal/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"
)

type consumeConfig struct {
	length int
}

// ConsumeOption is an option of Consume.
type ConsumeOption func(*consumeConfig)

// WithConsumeChannelLength sets the length of the channel. The default is 0.
func WithConsumeChannelLength(length int) ConsumeOption {
	return func(config *consumeConfig) { config.length = length }
}

// Consume returns the channel with the values of all producers, those of later too. It is closed when `ctx` is
// cancelled and each producer that was called for it has returned. It must be read until then.
func (aggregator *StreamAggregator) Consume(ctx context.Context, request interface{},
	options ...ConsumeOption) <-chan interface{} {
	config := consumeConfig{}
	for _, option := range options {
		option(&config)
	}
	encoded, err := encode(request)
	must(err)
	values := make(chan interface{}, config.length)
	stream, err := v1.NewSubscriberClient(daemon()).Subscribe(context.Background(), &v1.SubscribeRequest{
		Selectors: []*v1.Selector{{Labels: []*v1.Selector_Pair{{Name: "set", Value: aggregator.name}}}},
		Request:   encoded,
		Buffer:    &v1.Buffer{MaxEvents: uint32(max(config.length, 1)), Overflow: v1.Overflow_OVERFLOW_BLOCK},
	})
	must(err)
	first, err := stream.Recv()
	must(err)
	over := make(chan struct{})
	go aggregator.read(stream, values, over)
	go finish(ctx, first.Started.SubscriptionId, over)
	return values
}

// read passes on what the daemon sends, until it ends the stream.
func (aggregator *StreamAggregator) read(stream grpc.ServerStreamingClient[v1.EventBatch],
	values chan<- interface{}, over chan<- struct{}) {
	defer close(values)
	defer close(over)
	for {
		batch, err := stream.Recv()
		if err == io.EOF {
			return
		}
		if err != nil {
			aggregator.log.Printf("the daemon has ended a stream: %v", err)
			return
		}
		for _, lost := range batch.Lost {
			aggregator.log.Printf("lost: %v", lost)
		}
		for _, run := range batch.Runs {
			for _, event := range run.Events {
				value, err := decode(event.Data)
				must(err)
				values <- value
			}
		}
	}
}

// finish drains the subscription when `ctx` is cancelled: its producers are told to stop, and the stream ends
// behind what they still send.
func finish(ctx context.Context, subscription string, over <-chan struct{}) {
	select {
	case <-over:
		return
	case <-ctx.Done():
	}
	unary, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	// An error means that the subscription is gone, which `over` reports.
	_, _ = v1.NewSubscriberClient(daemon()).Finish(unary, &v1.FinishRequest{
		SubscriptionId: subscription, Drain: durationpb.New(theEnd),
	})
}
