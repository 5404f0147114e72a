// main.go - how a call ends for grpc-go. ../../reasons says what it reads and writes.
package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"os"
	"strconv"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// Messages as they are.
type raw struct{}

func (raw) Marshal(message any) ([]byte, error) { return *message.(*[]byte), nil }

func (raw) Unmarshal(data []byte, message any) error {
	*message.(*[]byte) = append([]byte(nil), data...)
	return nil
}

func (raw) Name() string { return "proto" }

func number(text string) int {
	value, err := strconv.Atoi(text)
	if err != nil {
		log.Fatal(err)
	}
	return value
}

// What the library says of the end of a call. Nothing comes after it.
func end(err error) {
	if err == io.EOF {
		err = nil
	}
	ended := status.Convert(err)
	reason, domain, parts := "", "", []string{}
	fields := map[string]string{}
	for _, detail := range ended.Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			reason, domain = info.Reason, info.Domain
			if info.Metadata != nil {
				fields = info.Metadata
			}
		}
		if message, ok := detail.(proto.Message); ok {
			parts = append(parts, string(message.ProtoReflect().Descriptor().FullName()))
		}
	}
	detailsMessage := ""
	if len(parts) > 0 {
		detailsMessage = ended.Proto().Message
	}
	line, _ := json.Marshal(map[string]any{"code": int(ended.Code()), "message": ended.Message(),
		"reason": reason, "domain": domain, "metadata": fields, "parts": parts,
		"details_message": detailsMessage})
	fmt.Println("end", string(line))
	os.Exit(0)
}

func answer(stream grpc.ClientStream) {
	var message []byte
	if err := stream.RecvMsg(&message); err != nil {
		end(err)
	}
	fmt.Println("answer", base64.StdEncoding.EncodeToString(message))
}

func open(settings map[string]string) grpc.ClientStream {
	connection, err := grpc.NewClient(settings["address"],
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	if seconds := number(settings["seconds"]); seconds > 0 {
		ctx, _ = context.WithTimeout(ctx, time.Duration(seconds)*time.Second) //nolint: until the process ends
	}
	if size := number(settings["metadata"]); size > 0 {
		ctx = metadata.AppendToOutgoingContext(ctx, "padding", strings.Repeat("x", size))
	}
	options := []grpc.CallOption{grpc.ForceCodec(raw{})}
	if settings["gzip"] != "" {
		options = append(options, grpc.UseCompressor(gzip.Name))
	}
	shape := &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}
	stream, err := connection.NewStream(ctx, shape, settings["method"], options...)
	if err != nil {
		end(err)
	}
	return stream
}

func main() {
	settings := map[string]string{"seconds": "0", "metadata": "0"}
	for _, argument := range os.Args[1:] {
		name, value, _ := strings.Cut(argument, "=")
		settings[name] = value
	}
	stream := open(settings)
	input := bufio.NewReader(os.Stdin)
	for {
		line, err := input.ReadString('\n')
		if err != nil {
			return
		}
		verb, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch verb {
		case "send":
			message, _ := base64.StdEncoding.DecodeString(rest)
			_ = stream.SendMsg(&message) // RecvMsg says why it failed
		case "close":
			_ = stream.CloseSend()
		case "answer":
			answer(stream)
		case "read":
			for {
				answer(stream)
			}
		}
	}
}
