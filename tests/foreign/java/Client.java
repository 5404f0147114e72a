// Client.java - publishes and subscribes with grpc-java on netty as fast as it goes, and prints what it
// counted as one JSON object. The arguments are NAME=VALUE, see `settings`.
import com.google.protobuf.ByteString;
import com.google.protobuf.Duration;
import io.grpc.ManagedChannel;
import io.grpc.netty.NettyChannelBuilder;
import io.grpc.stub.ClientCallStreamObserver;
import io.grpc.stub.ClientResponseObserver;
import java.util.Collections;
import java.util.HashMap;
import java.util.Iterator;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import tributary.v1.Event;
import tributary.v1.EventBatch;
import tributary.v1.Lost;
import tributary.v1.Overflow;
import tributary.v1.Run;
import tributary.v1.PublisherGrpc;
import tributary.v1.PublishStreamRequest;
import tributary.v1.PublishStreamResponse;
import tributary.v1.SubscriberGrpc;
import tributary.v1.Buffer;
import tributary.v1.FinishRequest;
import tributary.v1.Selector;
import tributary.v1.SubscribeRequest;

public final class Client {
    // window, keepalive: 0 is the library's default.
    private static final Map<String, String> settings = new HashMap<>(Map.of("name", "java", "seconds", "10",
        "pack", "64", "overflow", "block", "window", "0", "keepalive", "0"));

    private static int number(String name) {
        return Integer.parseInt(settings.get(name));
    }

    /** A connection of its own. */
    private static ManagedChannel connect() {
        NettyChannelBuilder builder = NettyChannelBuilder.forTarget(settings.get("address")).usePlaintext();
        if (number("keepalive") > 0) {
            builder.keepAliveTime(number("keepalive"), TimeUnit.SECONDS).keepAliveWithoutCalls(true);
        }
        if (number("window") > 0) {
            builder.flowControlWindow(number("window"));
        }
        return builder.build();
    }

    /** Sends messages until the time is over, as the transport has space for them, and reads every answer. */
    private static final class Publisher
        implements ClientResponseObserver<PublishStreamRequest, PublishStreamResponse> {
        final CompletableFuture<Void> ended = new CompletableFuture<>();
        final long until = System.nanoTime() + TimeUnit.SECONDS.toNanos(number("seconds"));
        final PublishStreamRequest request = PublishStreamRequest.newBuilder()
            .setProducer(settings.get("name"))
            .addAllEvents(Collections.nCopies(number("pack"),
                Event.newBuilder().setTopic("foreign").setData(ByteString.copyFrom(new byte[128])).build()))
            .build();
        volatile long batches;
        volatile long confirmed;
        private boolean completed;

        @Override
        public void beforeStart(ClientCallStreamObserver<PublishStreamRequest> stream) {
            stream.setOnReadyHandler(() -> {
                while (!completed && stream.isReady()) {
                    if (System.nanoTime() >= until) {
                        completed = true;
                        stream.onCompleted();
                    } else {
                        stream.onNext(request);
                        batches++;
                    }
                }
            });
        }

        @Override
        public void onNext(PublishStreamResponse answer) {
            if (answer.getRefusedCount() > 0) {
                ended.completeExceptionally(new IllegalStateException("refused: " + answer.getRefused(0)));
            }
            confirmed = answer.getConfirmedBatch();
        }

        @Override
        public void onError(Throwable failure) {
            ended.completeExceptionally(failure);
        }

        @Override
        public void onCompleted() {
            ended.complete(null);
        }
    }

    /** Counts the events that arrive and those that are lost, until the stream ends. */
    private static long[] receive(Iterator<EventBatch> batches) {
        long received = 0;
        long lost = 0;
        while (batches.hasNext()) {
            EventBatch batch = batches.next();
            for (Run run : batch.getRunsList()) {
                received += run.getEventsCount();
            }
            for (Lost each : batch.getLostList()) {
                lost += each.getCount();
            }
        }
        return new long[] {received, lost};
    }

    private static Duration seconds(int seconds) {
        return Duration.newBuilder().setSeconds(seconds).build();
    }

    public static void main(String[] arguments) throws Exception {
        for (String argument : arguments) {
            String[] parts = argument.split("=", 2);
            settings.put(parts[0], parts[1]);
        }
        ManagedChannel subscribing = connect();
        ManagedChannel publishing = connect();
        Buffer.Builder buffer = Buffer.newBuilder();
        if (settings.get("overflow").equals("block")) {
            buffer.setOverflow(Overflow.OVERFLOW_BLOCK).setBlockTimeout(seconds(30));
        }
        SubscriberGrpc.SubscriberBlockingStub subscriber = SubscriberGrpc.newBlockingStub(subscribing);
        Iterator<EventBatch> batches = subscriber.subscribe(SubscribeRequest.newBuilder()
            .addSelectors(Selector.newBuilder().setProducer(settings.get("name")))
            .setBuffer(buffer).build());
        String id = batches.next().getStarted().getSubscriptionId();
        CompletableFuture<long[]> receiver = CompletableFuture.supplyAsync(() -> receive(batches));

        long began = System.nanoTime();
        Publisher publisher = new Publisher();
        PublisherGrpc.newStub(publishing).publishStream(publisher);
        publisher.ended.get();
        double elapsed = (System.nanoTime() - began) / 1e9;
        subscriber.finish(FinishRequest.newBuilder().setSubscriptionId(id).setDrain(seconds(30)).build());
        long[] counts = receiver.get();
        System.out.printf(Locale.ROOT,
            "{\"published\": %d, \"confirmed\": %d, \"received\": %d, \"lost\": %d, \"seconds\": %.3f}%n",
            publisher.batches * number("pack"), publisher.confirmed * number("pack"), counts[0], counts[1],
            elapsed);
        publishing.shutdownNow();
        subscribing.shutdownNow();
    }
}
