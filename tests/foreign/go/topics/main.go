// main.go - publishes to a stored topic, and reads it, with grpc-go. ../../topics says what it reads and
// writes.
package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "foreign/v1"
)

const (
	window = 16 // batches without an answer
	pack   = 7  // events of a batch
	pause  = 2 * time.Millisecond
	beat   = 200 * time.Millisecond
)

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func connect(address string) *grpc.ClientConn {
	again := backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1, MaxDelay: 200 * time.Millisecond}
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: again, MinConnectTimeout: time.Second}))
	check(err)
	return connection
}

// Whether a stream ended well. Ends the program where it ended otherwise than by a lost server.
func endedWell(err error) bool {
	if err != io.EOF && status.Code(err) != codes.Unavailable {
		log.Fatal(err)
	}
	return err == io.EOF
}

type refusal struct {
	Batch   uint64 `json:"batch"`
	Code    int32  `json:"code"`
	Reason  string `json:"reason"`
	Message string `json:"message"`
}

// publisher numbers its events, and sends what was not confirmed again after a stream was lost.
type publisher struct {
	client      pb.PublisherClient
	name, topic string
	id          []byte
	life, next  uint64
	unconfirmed []uint64 // the first number of each batch
	stopping    atomic.Bool

	Confirmed  uint64   `json:"confirmed"`
	Reconnects int      `json:"reconnects"`
	Duplicates uint64   `json:"duplicates"`
	Again      uint64   `json:"again"`
	Gap        *refusal `json:"gap"`
}

func (p *publisher) request(first uint64) *pb.PublishStreamRequest {
	events := make([]*pb.Event, pack)
	for i := range events {
		events[i] = &pb.Event{Topic: p.topic, Data: fmt.Appendf(nil, "%s %d", p.name, first+uint64(i))}
	}
	return &pb.PublishStreamRequest{Events: events, Producer: p.name, Confirm: pb.Confirm_CONFIRM_STORED,
		Publisher: &pb.PublisherNumbers{Id: p.id, FirstNumber: first, Life: p.life}}
}

type answered struct {
	answer *pb.PublishStreamResponse
	err    error
}

func receive(stream pb.Publisher_PublishStreamClient, answers chan<- answered) {
	for {
		answer, err := stream.Recv()
		answers <- answered{answer, err}
		if err != nil {
			return
		}
	}
}

// sendNext sends the next batch, the first one of a life alone. Returns whether it did.
func (p *publisher) sendNext(stream pb.Publisher_PublishStreamClient, inFlight int) bool {
	if inFlight >= window || (inFlight > 0 && p.Confirmed == 0) {
		return false
	}
	if inFlight == len(p.unconfirmed) && !p.stopping.Load() {
		p.unconfirmed = append(p.unconfirmed, p.next)
		p.next += pack
	}
	if inFlight < len(p.unconfirmed) {
		_ = stream.Send(p.request(p.unconfirmed[inFlight])) // Recv has the error
		return true
	}
	if len(p.unconfirmed) == 0 {
		_ = stream.CloseSend()
	}
	return false
}

// stream is one stream. Returns whether everything was sent and confirmed.
func (p *publisher) stream() bool {
	stream, err := p.client.PublishStream(context.Background(), grpc.WaitForReady(true))
	if err != nil {
		return endedWell(err)
	}
	answers := make(chan answered, window)
	go receive(stream, answers)
	ticker := time.NewTicker(pause)
	defer ticker.Stop()
	var sent, handled, duplicates uint64
	for {
		select {
		case <-ticker.C:
			if p.sendNext(stream, int(sent-handled)) {
				sent++
			}
		case each := <-answers:
			if each.err != nil {
				p.Duplicates += duplicates
				return endedWell(each.err)
			}
			if len(each.answer.Refused) > 0 {
				log.Fatalf("refused: %v", each.answer.Refused[0])
			}
			count := each.answer.ConfirmedBatch - handled
			p.unconfirmed = p.unconfirmed[count:]
			p.Confirmed += count * pack
			handled, duplicates = each.answer.ConfirmedBatch, each.answer.Duplicates
		}
	}
}

// more sends a batch that is stored already, and one behind a gap.
func (p *publisher) more() {
	stream, err := p.client.PublishStream(context.Background())
	check(err)
	check(stream.Send(p.request(p.next - pack)))
	check(stream.Send(p.request(p.next + 10)))
	check(stream.CloseSend())
	for {
		answer, err := stream.Recv()
		if err == io.EOF {
			return
		}
		check(err)
		p.Again = answer.Duplicates
		for _, refused := range answer.Refused {
			p.Gap = &refusal{refused.Batch, refused.Code, refused.Reason, refused.Message}
		}
	}
}

func publish(settings map[string]string) any {
	p := &publisher{client: pb.NewPublisherClient(connect(settings["address"])), name: settings["name"],
		topic: settings["topic"], id: make([]byte, 16), life: uint64(time.Now().UnixNano()), next: 1}
	_, err := rand.Read(p.id)
	check(err)
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		p.stopping.Store(true)
	}()
	for !p.stream() {
		p.Reconnects++
	}
	p.more()
	return p
}

// reader reads a topic from its first event on, and resumes when a stream was lost.
type reader struct {
	client pb.SubscriberClient
	source string
	until  atomic.Uint64
	token  []byte
	epoch  uint64

	Events   [][3]any `json:"events"` // sequence, origin, data
	CaughtUp [][2]any `json:"caught_up"`
	Epoch    string   `json:"epoch"`
	Resumed  int      `json:"resumed"`
	Repeated int      `json:"repeated"`
	Lost     int      `json:"lost"`
}

func (r *reader) request(start *pb.Start) *pb.SubscribeRequest {
	return &pb.SubscribeRequest{Selectors: []*pb.Selector{{Producer: r.source}}, Start: start,
		HeartbeatInterval: durationpb.New(beat)}
}

// start has by turns the newest token, and the newest token with the position of the last event.
func (r *reader) start() (start *pb.Start, isExact bool) {
	if len(r.token) == 0 {
		return &pb.Start{At: &pb.Start_Earliest_{Earliest: &pb.Start_Earliest{}}}, false
	}
	r.Resumed++
	if r.Resumed%2 == 1 {
		return &pb.Start{At: &pb.Start_Resume{Resume: r.token}}, false
	}
	from := &pb.Start_Positions{ResumeToken: r.token}
	if last := uint64(len(r.Events)); last > 0 {
		from.Positions = []*pb.Position{{Source: r.source, Epoch: r.epoch, Sequence: last}}
	}
	return &pb.Start{At: &pb.Start_Positions_{Positions: from}}, true
}

func (r *reader) add(run *pb.Run, isExact bool) {
	r.epoch = run.Epoch
	for i, event := range run.Events {
		row := [3]any{run.FirstSequence + uint64(i), run.Origin, string(event.Data)}
		if sequence := row[0].(uint64); sequence > uint64(len(r.Events)) {
			r.Events = append(r.Events, row)
		} else if r.Repeated++; isExact || r.Events[sequence-1] != row {
			log.Fatalf("repeated: %v", row)
		}
	}
}

// stream is one stream. Returns whether everything was read.
func (r *reader) stream() bool {
	start, isExact := r.start()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	stream, err := r.client.Subscribe(ctx, r.request(start), grpc.WaitForReady(true))
	isCaughtUp := false
	for {
		var batch *pb.EventBatch
		if err == nil {
			batch, err = stream.Recv()
		}
		if err != nil {
			return endedWell(err)
		}
		r.Lost += len(batch.Lost)
		for _, run := range batch.Runs {
			r.add(run, isExact)
		}
		for _, each := range batch.CaughtUp {
			isCaughtUp = true
			r.CaughtUp = append(r.CaughtUp, [2]any{strconv.FormatUint(each.Epoch, 10), each.Sequence})
		}
		for _, token := range [][]byte{batch.GetStarted().GetResumeToken(), batch.GetProgress().GetResumeToken()} {
			if len(token) > 0 {
				r.token = token
			}
		}
		until := r.until.Load()
		if isCaughtUp && until > 0 && uint64(len(r.Events)) >= until {
			return true
		}
	}
}

func (r *reader) run() any {
	go func() {
		line, err := bufio.NewReader(os.Stdin).ReadString('\n')
		check(err)
		until, err := strconv.ParseUint(strings.TrimSpace(line), 10, 64)
		check(err)
		r.until.Store(until)
	}()
	for !r.stream() {
	}
	r.Epoch = strconv.FormatUint(r.epoch, 10)
	return r
}

// What the library says of the end of a call.
func ending(err error) map[string]any {
	ended := status.Convert(err)
	result := map[string]any{"code": int(ended.Code()), "message": ended.Message()}
	for _, detail := range ended.Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			result["reason"], result["domain"], result["metadata"] = info.Reason, info.Domain, info.Metadata
		}
	}
	return result
}

func (r *reader) sequences(request *pb.SubscribeRequest) ([]uint64, error) {
	stream, err := r.client.Subscribe(context.Background(), request)
	check(err)
	sequences := []uint64{}
	for {
		batch, err := stream.Recv()
		if err != nil {
			return sequences, err
		}
		for _, run := range batch.Runs {
			for i := range run.Events {
				sequences = append(sequences, run.FirstSequence+uint64(i))
			}
		}
	}
}

// belowTheFirst starts at sequence 1, which is not kept, and then where the error says.
func (r *reader) belowTheFirst() any {
	_, err := r.sequences(r.request(&pb.Start{At: &pb.Start_Sequence{Sequence: 1}}))
	end := ending(err)
	words := strings.Fields(end["metadata"].(map[string]string)["bound"])
	first, err := strconv.ParseUint(words[len(words)-1], 10, 64)
	check(err)
	request := r.request(&pb.Start{At: &pb.Start_Sequence{Sequence: first}})
	request.EndWhen = pb.EndWhen_END_WHEN_CAUGHT_UP
	sequences, err := r.sequences(request)
	if err != io.EOF {
		log.Fatal(err)
	}
	return map[string]any{"end": end, "sequences": sequences}
}

func main() {
	settings := map[string]string{}
	for _, argument := range os.Args[1:] {
		name, value, _ := strings.Cut(argument, "=")
		settings[name] = value
	}
	var result any
	if settings["mode"] == "publish" {
		result = publish(settings)
	} else {
		r := &reader{client: pb.NewSubscriberClient(connect(settings["address"])), source: "@" + settings["topic"]}
		if settings["mode"] == "read" {
			result = r.run()
		} else {
			result = r.belowTheFirst()
		}
	}
	check(json.NewEncoder(os.Stdout).Encode(result))
}
