// main.go - says how a call ends for grpc-go. See ../../reasons.
//
//	reasons subscribe ADDRESS OVERFLOW SECONDS   subscribes, prints "started ID", reads nothing until a line
//	                                             comes on standard input, then reads to the end; SECONDS is
//	                                             the deadline, 0 for none
//	reasons publish ADDRESS BYTES                publishes one event of so many bytes
//
// The last line of the output is a JSON object: code, reason, message, events.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"strconv"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	pb "foreign/v1"
)

func report(err error, events int) {
	code, reason := status.Code(err), ""
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			reason = info.Reason
		}
	}
	line, _ := json.Marshal(map[string]any{
		"code": int(code), "reason": reason, "message": status.Convert(err).Message(), "events": events})
	fmt.Println(string(line))
}

func number(text string) int {
	value, err := strconv.Atoi(text)
	if err != nil {
		log.Fatal(err)
	}
	return value
}

func subscribe(connection *grpc.ClientConn, overflow, seconds int) {
	ctx := context.Background()
	if seconds > 0 {
		limited, cancel := context.WithTimeout(ctx, time.Duration(seconds)*time.Second)
		defer cancel()
		ctx = limited
	}
	stream, err := pb.NewSubscriberClient(connection).Subscribe(ctx, &pb.SubscribeRequest{
		Selectors: []*pb.Selector{{Producer: "*"}},
		Buffer:    &pb.Buffer{Overflow: pb.Overflow(overflow), MaxEvents: 1}})
	if err != nil {
		log.Fatal(err)
	}
	first, err := stream.Recv()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("started", first.Started.SubscriptionId)
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
	events := 0
	for {
		batch, err := stream.Recv()
		if err != nil {
			report(err, events)
			return
		}
		for _, run := range batch.Runs {
			events += len(run.Events)
		}
	}
}

func main() {
	connection, err := grpc.NewClient(os.Args[2], grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	defer connection.Close()
	if os.Args[1] == "subscribe" {
		subscribe(connection, number(os.Args[3]), number(os.Args[4]))
		return
	}
	events := []*pb.Event{{Data: make([]byte, number(os.Args[3]))}}
	_, err = pb.NewPublisherClient(connection).Publish(context.Background(), &pb.PublishRequest{Events: events})
	report(err, 0)
}
