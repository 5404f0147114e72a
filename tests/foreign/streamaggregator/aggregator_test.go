package streamaggregator_test

import (
	"bytes"
	"context"
	"encoding/gob"
	"fmt"
	"os"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	streamaggregator "code.cloudfoundry.org/go-stream-aggregator"
	"code.cloudfoundry.org/go-stream-aggregator/internal/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

const patience = 30 * time.Second

type order struct {
	Id    int
	Lines []string
}

// call is one call of a producer.
type call struct {
	ctx     context.Context
	request any
	values  chan<- any
}

// caught returns a producer that hands out its calls, and returns when the context is cancelled.
func caught() (streamaggregator.Producer, chan call) {
	calls := make(chan call, 100)
	return streamaggregator.ProducerFunc(func(ctx context.Context, request any, values chan<- any) {
		calls <- call{ctx, request, values}
		<-ctx.Done()
	}), calls
}

// counter returns a producer that writes 0, 1, 2 and so on until the context is cancelled.
func counter() streamaggregator.Producer {
	return streamaggregator.ProducerFunc(func(ctx context.Context, _ any, values chan<- any) {
		for number := 0; ; number++ {
			select {
			case values <- number:
			case <-ctx.Done():
				return
			}
		}
	})
}

// once returns a producer that writes these values and returns.
func once(all ...any) streamaggregator.Producer {
	return streamaggregator.ProducerFunc(func(_ context.Context, _ any, values chan<- any) {
		for _, value := range all {
			values <- value
		}
	})
}

// next returns what comes out of a channel. It fails the test where nothing comes, or where it is closed.
func next[T any](t *testing.T, from <-chan T, what string) T {
	t.Helper()
	select {
	case value, open := <-from:
		if !open {
			t.Fatalf("closed: %s", what)
		}
		return value
	case <-time.After(patience):
		t.Fatalf("not within %v: %s", patience, what)
	}
	panic("not reached")
}

// rest reads a channel until it is closed.
func rest[T any](t *testing.T, from <-chan T) (all []T) {
	t.Helper()
	late := time.After(patience)
	for {
		select {
		case value, open := <-from:
			if !open {
				return all
			}
			all = append(all, value)
		case <-late:
			t.Fatalf("not closed within %v, after %d values", patience, len(all))
		}
	}
}

func ended(t *testing.T, ctx context.Context, what string) {
	t.Helper()
	select {
	case <-ctx.Done():
	case <-time.After(patience):
		t.Fatalf("not cancelled within %v: %s", patience, what)
	}
}

// idle fails the test where a producer of the daemon has a call. The aggregator's producers are counted.
func idle(t *testing.T, label string, want int) {
	t.Helper()
	connection, err := grpc.NewClient(os.Getenv("TRIBUTARY_SERVER"),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	found, err := v1.NewAdminClient(connection).ListProducers(context.Background(),
		&v1.ListProducersRequest{Pattern: label + "/*"})
	if err != nil {
		t.Fatal(err)
	}
	if len(found.Producers) != want {
		t.Fatalf("%d producers, not %d", len(found.Producers), want)
	}
	for _, each := range found.Producers {
		if each.State != v1.ProducerState_PRODUCER_STATE_IDLE {
			t.Fatalf("%s is %v", each.Name, each.State)
		}
	}
}

func TestA1NoConsumerNoCall(t *testing.T) {
	t.Parallel()
	aggregator := streamaggregator.New()
	producer, calls := caught()
	aggregator.AddProducer("one", producer)
	idle(t, aggregator.Name(), 1)
	if len(calls) != 0 {
		t.Fatal("called")
	}
}

func TestA2A4OneCallWithTheRequest(t *testing.T) {
	t.Parallel()
	aggregator := streamaggregator.New()
	before, callsBefore := caught()
	after, callsAfter := caught()
	aggregator.AddProducer("before", before)
	aggregator.Consume(t.Context(), "the request")
	aggregator.AddProducer("after", after)
	for _, calls := range []chan call{callsBefore, callsAfter} {
		if got := next(t, calls, "the call").request; got != "the request" {
			t.Fatalf("the request is %v", got)
		}
	}
	aggregator.Consume(t.Context(), order{7, []string{"a", "b"}})
	for _, calls := range []chan call{callsBefore, callsAfter} {
		if got := next(t, calls, "the second call").request; !reflect.DeepEqual(got, order{7, []string{"a", "b"}}) {
			t.Fatalf("the request is %v", got)
		}
		if len(calls) != 0 {
			t.Fatal("called more than once for a consumer")
		}
	}
}

func TestA3ValuesOfAllProducersInTheirOrder(t *testing.T) {
	t.Parallel()
	const producers, each = 8, 5000
	aggregator := streamaggregator.New()
	for index := range producers {
		all := make([]any, each)
		for number := range each {
			all[number] = [2]int{index, number}
		}
		aggregator.AddProducer(fmt.Sprint(index), once(all...))
	}
	values := aggregator.Consume(t.Context(), nil, streamaggregator.WithConsumeChannelLength(100))
	var seen [producers]int
	for range producers * each {
		value := next(t, values, "a value").([2]int)
		if value[1] != seen[value[0]] {
			t.Fatalf("producer %d: %d instead of %d", value[0], value[1], seen[value[0]])
		}
		seen[value[0]]++
	}
}

func TestA5NothingAfterTheEnd(t *testing.T) {
	t.Parallel()
	aggregator := streamaggregator.New()
	ctx, cancel := context.WithCancel(t.Context())
	values := aggregator.Consume(ctx, nil)
	cancel()
	if all := rest(t, values); all != nil {
		t.Fatalf("values: %v", all)
	}
	producer, calls := caught()
	aggregator.AddProducer("late", producer)
	idle(t, aggregator.Name(), 1)
	if len(calls) != 0 {
		t.Fatal("called")
	}
}

func TestA6TheEndCancelsAllAndCloses(t *testing.T) {
	t.Parallel()
	aggregator := streamaggregator.New()
	ctx, cancel := context.WithCancel(t.Context())
	values := aggregator.Consume(ctx, nil)
	var all [2]call
	for index := range all {
		producer, calls := caught()
		aggregator.AddProducer(fmt.Sprint(index), producer)
		all[index] = next(t, calls, "the call")
	}
	entered, leave := make(chan bool, 1), make(chan bool)
	aggregator.AddProducer("slow", streamaggregator.ProducerFunc(func(context.Context, any, chan<- any) {
		entered <- true
		<-leave
	}))
	next(t, entered, "the call of the slow one")
	cancel()
	for _, each := range all {
		ended(t, each.ctx, "the consumer has ended")
	}
	select {
	case <-values:
		t.Fatal("closed, or a value, while a producer runs")
	case <-time.After(200 * time.Millisecond):
	}
	close(leave)
	if all := rest(t, values); all != nil {
		t.Fatalf("values: %v", all)
	}
}

func TestA7RemovingCancels(t *testing.T) {
	t.Parallel()
	aggregator := streamaggregator.New()
	producer, calls := caught()
	contexts := make(chan context.Context, 100)
	aggregator.AddProducer("running", producer)
	aggregator.AddProducer("returned", streamaggregator.ProducerFunc(
		func(ctx context.Context, _ any, _ chan<- any) { contexts <- ctx }))
	aggregator.Consume(t.Context(), nil)
	aggregator.Consume(t.Context(), nil)
	for range 2 {
		for _, ctx := range []context.Context{next(t, calls, "a call").ctx, next(t, contexts, "a call")} {
			if ctx.Err() != nil {
				t.Fatal("cancelled before it was removed")
			}
			defer func() {
				if ctx.Err() == nil {
					t.Fatal("not cancelled when RemoveProducer had returned")
				}
			}()
		}
	}
	aggregator.RemoveProducer("running")
	aggregator.RemoveProducer("returned")
}

func TestA8RemovedIsNotCalledAgain(t *testing.T) {
	t.Parallel()
	aggregator := streamaggregator.New()
	producer, calls := caught()
	aggregator.AddProducer("removed", producer)
	aggregator.RemoveProducer("removed")
	aggregator.AddProducer("there", once(1))
	values := aggregator.Consume(t.Context(), nil)
	next(t, values, "the value of the other producer")
	if len(calls) != 0 {
		t.Fatal("called")
	}
}

func TestA9ABlockedProducerBlocksNoOther(t *testing.T) {
	t.Parallel()
	aggregator := streamaggregator.New()
	for index := range 20 {
		aggregator.AddProducer(fmt.Sprint("blocked", index),
			streamaggregator.ProducerFunc(func(context.Context, any, chan<- any) { select {} }))
	}
	aggregator.AddProducer("good", counter())
	values := aggregator.Consume(t.Context(), nil)
	for number := range 1000 {
		if got := next(t, values, "a value"); got != number {
			t.Fatalf("%v instead of %d", got, number)
		}
	}
}

func TestA10TheSameKeyReplaces(t *testing.T) {
	t.Parallel()
	aggregator := streamaggregator.New()
	first, firstCalls := caught()
	second, secondCalls := caught()
	aggregator.AddProducer("one", first)
	aggregator.Consume(t.Context(), nil)
	before := next(t, firstCalls, "the call of the first")
	aggregator.AddProducer("one", second)
	if before.ctx.Err() == nil {
		t.Fatal("the first is not cancelled")
	}
	next(t, secondCalls, "the call of the second")
	aggregator.Consume(t.Context(), nil)
	next(t, secondCalls, "the call of the second for the second consumer")
	if len(firstCalls)+len(secondCalls) != 0 {
		t.Fatal("further calls")
	}
}

func TestA10AddedAgainWhileTheOldOneDrains(t *testing.T) {
	t.Parallel()
	aggregator := streamaggregator.New()
	started := make(chan bool, 1)
	aggregator.AddProducer("one", streamaggregator.ProducerFunc(func(context.Context, any, chan<- any) {
		started <- true
		select {}
	}))
	values := aggregator.Consume(t.Context(), nil)
	next(t, started, "its call")
	aggregator.RemoveProducer("one")
	aggregator.AddProducer("one", once("new"))
	if got := next(t, values, "the value of the new one"); got != "new" {
		t.Fatalf("got %v", got)
	}
}

func TestA11RemovingNothing(t *testing.T) {
	t.Parallel()
	aggregator := streamaggregator.New()
	aggregator.RemoveProducer("unknown")
	aggregator.AddProducer("one", once(1))
	aggregator.RemoveProducer("one")
	aggregator.RemoveProducer("one")
}

func TestA12AStalledConsumerSlowsNoOther(t *testing.T) {
	t.Parallel()
	aggregator := streamaggregator.New()
	var written atomic.Int64
	big := strings.Repeat("x", 8192)
	aggregator.AddProducer("one", streamaggregator.ProducerFunc(
		func(ctx context.Context, request any, values chan<- any) {
			for {
				select {
				case values <- big:
					if request == "stalled" {
						written.Add(1)
					}
				case <-ctx.Done():
					return
				}
			}
		}))
	aggregator.Consume(t.Context(), "stalled")
	values := aggregator.Consume(t.Context(), "reads")
	for range 5000 {
		next(t, values, "a value")
	}
	// 64 KiB in each of four buffers, two channels of one value, and what is between two stages.
	if count := written.Load(); count > 48 {
		t.Fatalf("%d values were written for a consumer that reads none", count)
	}
}

func TestA13AProducerThatReturns(t *testing.T) {
	t.Parallel()
	aggregator := streamaggregator.New()
	calls := make(chan bool, 100)
	aggregator.AddProducer("short", streamaggregator.ProducerFunc(func(context.Context, any, chan<- any) {
		calls <- true
	}))
	aggregator.AddProducer("long", counter())
	values := aggregator.Consume(t.Context(), nil)
	next(t, calls, "its call")
	for range 1000 {
		next(t, values, "a value of the other one")
	}
	if len(calls) != 0 {
		t.Fatal("called again")
	}
}

func TestA14WhatIsWrittenWhileDrainingArrives(t *testing.T) {
	t.Parallel()
	aggregator := streamaggregator.New()
	aggregator.AddProducer("one", streamaggregator.ProducerFunc(
		func(ctx context.Context, _ any, values chan<- any) {
			values <- "before"
			<-ctx.Done()
			for number := range 100 {
				values <- number
			}
		}))
	ctx, cancel := context.WithCancel(t.Context())
	values := aggregator.Consume(ctx, nil)
	next(t, values, "the value before")
	cancel()
	for number, got := range rest(t, values) {
		if got != number || number >= 100 {
			t.Fatalf("%v instead of %d", got, number)
		}
	}
}

func TestA15OnlyTheRemovedOneStops(t *testing.T) {
	t.Parallel()
	aggregator := streamaggregator.New()
	aggregator.AddProducer("removed", once("a", "b", "c"))
	values := aggregator.Consume(t.Context(), nil, streamaggregator.WithConsumeChannelLength(10))
	for len(values) < 3 {
		time.Sleep(time.Millisecond)
	}
	producer, calls := caught()
	aggregator.AddProducer("stays", producer)
	stays := next(t, calls, "its call")
	aggregator.RemoveProducer("removed")
	stays.values <- "d"
	for _, want := range []string{"a", "b", "c", "d"} {
		if got := next(t, values, want); got != want {
			t.Fatalf("%v instead of %s", got, want)
		}
	}
	if stays.ctx.Err() != nil {
		t.Fatal("the other one was cancelled")
	}
}

func TestValuesOfManyTypes(t *testing.T) {
	t.Parallel()
	all := []any{nil, 1, int8(-1), uint64(1 << 63), 1.5, "", "text\x00é", true, []byte{0, 255}, []any{1, "a", nil},
		map[string]int{"a": 1}, order{1, []string{"x"}}, time.Unix(1, 2).UTC(), bytes.Repeat([]byte("b"), 900_000)}
	aggregator := streamaggregator.New()
	aggregator.AddProducer("one", once(all...))
	values := aggregator.Consume(t.Context(), nil)
	for _, want := range all {
		if got := next(t, values, fmt.Sprintf("%T", want)); !reflect.DeepEqual(got, want) {
			t.Fatalf("%v (%T) instead of %v (%T)", got, got, want, want)
		}
	}
}

func TestAValueThatCannotCrossEndsItsProducerOnly(t *testing.T) {
	t.Parallel()
	aggregator := streamaggregator.New()
	contexts := make(chan context.Context, 1)
	aggregator.AddProducer("bad", streamaggregator.ProducerFunc(
		func(ctx context.Context, _ any, values chan<- any) {
			contexts <- ctx
			values <- make(chan int)
			values <- 1
		}))
	aggregator.AddProducer("good", counter())
	values := aggregator.Consume(t.Context(), nil)
	ended(t, next(t, contexts, "its call"), "the value cannot be encoded")
	for number := range 100 {
		if got := next(t, values, "a value"); got != number {
			t.Fatalf("%v instead of %d", got, number)
		}
	}
}

func TestKeysOfAnyBytes(t *testing.T) {
	t.Parallel()
	aggregator := streamaggregator.New()
	keys := []string{"", "*", "?", "a/b", "é\x00\xff", strings.Repeat("k", 65), strings.Repeat("k", 100_000), " "}
	for index, key := range keys {
		aggregator.AddProducer(key, once(index))
	}
	values := aggregator.Consume(t.Context(), nil)
	seen := map[any]bool{}
	for range keys {
		seen[next(t, values, "a value")] = true
	}
	if len(seen) != len(keys) {
		t.Fatalf("seen: %v", seen)
	}
	for _, key := range keys {
		aggregator.RemoveProducer(key)
	}
	idle(t, aggregator.Name(), 0)
}

func TestChangesFromInsideAProducer(t *testing.T) {
	t.Parallel()
	aggregator := streamaggregator.New()
	aggregator.AddProducer("outer", streamaggregator.ProducerFunc(
		func(ctx context.Context, _ any, values chan<- any) {
			aggregator.AddProducer("inner", once("inner"))
			aggregator.RemoveProducer("outer")
			values <- ctx.Err() != nil
		}))
	values := aggregator.Consume(t.Context(), nil)
	seen := map[any]bool{next(t, values, "a value"): true, next(t, values, "another"): true}
	if !seen["inner"] || !seen[true] {
		t.Fatalf("seen: %v", seen)
	}
}

func TestProducersComeAndGo(t *testing.T) {
	t.Parallel()
	aggregator := streamaggregator.New()
	ctx, cancel := context.WithCancel(t.Context())
	values := aggregator.Consume(ctx, nil)
	for round := range 200 {
		aggregator.AddProducer("one", once(round))
		if got := next(t, values, "a value"); got != round {
			t.Fatalf("%v instead of %d", got, round)
		}
		aggregator.RemoveProducer("one")
	}
	cancel()
	rest(t, values)
}

func TestMain(main *testing.M) {
	gob.Register(order{})
	gob.Register([2]int{})
	gob.Register([]any{})
	gob.Register(map[string]int{})
	gob.Register(time.Time{})
	os.Exit(main.Run())
}
