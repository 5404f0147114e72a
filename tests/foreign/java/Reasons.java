// Reasons.java - how a call ends for grpc-java on netty. ../reasons says what it reads and writes.
import com.google.protobuf.Any;
import com.google.rpc.ErrorInfo;
import io.grpc.CallOptions;
import io.grpc.ClientCall;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.Status;
import io.grpc.netty.NettyChannelBuilder;
import io.grpc.protobuf.StatusProto;
import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.HashMap;
import java.util.Map;
import java.util.StringJoiner;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

public final class Reasons {
    /** Messages as they are. */
    private static final MethodDescriptor.Marshaller<byte[]> RAW = new MethodDescriptor.Marshaller<>() {
        @Override
        public InputStream stream(byte[] message) {
            return new ByteArrayInputStream(message);
        }

        @Override
        public byte[] parse(InputStream stream) {
            try {
                return stream.readAllBytes();
            } catch (IOException failure) {
                throw new UncheckedIOException(failure);
            }
        }
    };

    private static String quoted(String text) {
        StringBuilder out = new StringBuilder("\"");
        for (char c : text.toCharArray()) {
            if (c == '"' || c == '\\') {
                out.append('\\').append(c);
            } else if (c < ' ' || c > '~') {
                out.append(String.format("\\u%04x", (int) c));
            } else {
                out.append(c);
            }
        }
        return out.append('"').toString();
    }

    /** What the library says of the end of a call, as JSON. */
    private static String ending(Status status, Metadata trailers) throws IOException {
        com.google.rpc.Status details = StatusProto.fromStatusAndTrailers(status, trailers);
        ErrorInfo info = ErrorInfo.getDefaultInstance();
        StringJoiner parts = new StringJoiner(", ", "[", "]");
        for (Any part : details.getDetailsList()) {
            parts.add(quoted(part.getTypeUrl().replaceFirst(".*/", "")));
            if (part.is(ErrorInfo.class)) {
                info = part.unpack(ErrorInfo.class);
            }
        }
        StringJoiner metadata = new StringJoiner(", ", "{", "}");
        for (Map.Entry<String, String> entry : info.getMetadataMap().entrySet()) {
            metadata.add(quoted(entry.getKey()) + ": " + quoted(entry.getValue()));
        }
        String message = status.getDescription() == null ? "" : status.getDescription();
        return String.format("{\"code\": %d, \"message\": %s, \"reason\": %s, \"domain\": %s, \"metadata\": %s,"
            + " \"parts\": %s, \"details_message\": %s}", status.getCode().value(), quoted(message),
            quoted(info.getReason()), quoted(info.getDomain()), metadata, parts,
            quoted(details.getDetailsCount() > 0 ? details.getMessage() : ""));
    }

    /** Puts each answer as the line "answer BASE64" into `lines`, and the end as "end JSON". */
    private static final class Listener extends ClientCall.Listener<byte[]> {
        final LinkedBlockingQueue<String> lines = new LinkedBlockingQueue<>();

        @Override
        public void onMessage(byte[] message) {
            lines.add("answer " + Base64.getEncoder().encodeToString(message));
        }

        @Override
        public void onClose(Status status, Metadata trailers) {
            try {
                lines.add("end " + ending(status, trailers));
            } catch (IOException failure) {
                throw new UncheckedIOException(failure);
            }
        }
    }

    /** Prints the next answer, or how the call ended; then the process is over. */
    private static void answer(ClientCall<byte[], byte[]> call, Listener listener) throws Exception {
        call.request(1);
        String line = listener.lines.take();
        System.out.println(line);
        System.out.flush();
        if (line.startsWith("end ")) {
            System.exit(0);
        }
    }

    public static void main(String[] arguments) throws Exception {
        Map<String, String> settings = new HashMap<>(Map.of("seconds", "0", "metadata", "0", "gzip", ""));
        for (String argument : arguments) {
            String[] parts = argument.split("=", 2);
            settings.put(parts[0], parts[1]);
        }
        ManagedChannel channel =
            NettyChannelBuilder.forTarget(settings.get("address")).usePlaintext().build();
        CallOptions options = CallOptions.DEFAULT;
        if (Integer.parseInt(settings.get("seconds")) > 0) {
            options = options.withDeadlineAfter(Integer.parseInt(settings.get("seconds")), TimeUnit.SECONDS);
        }
        if (!settings.get("gzip").isEmpty()) {
            options = options.withCompression("gzip");
        }
        Metadata metadata = new Metadata();
        if (Integer.parseInt(settings.get("metadata")) > 0) {
            metadata.put(Metadata.Key.of("padding", Metadata.ASCII_STRING_MARSHALLER),
                "x".repeat(Integer.parseInt(settings.get("metadata"))));
        }
        ClientCall<byte[], byte[]> call = channel.newCall(MethodDescriptor.<byte[], byte[]>newBuilder()
            .setType(MethodDescriptor.MethodType.BIDI_STREAMING)
            .setFullMethodName(settings.get("method").substring(1))
            .setRequestMarshaller(RAW).setResponseMarshaller(RAW).build(), options);
        Listener listener = new Listener();
        call.start(listener, metadata);
        BufferedReader input =
            new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
        for (String line = input.readLine(); line != null; line = input.readLine()) {
            String[] words = line.split(" ", 2);
            switch (words[0]) {
                case "send" -> call.sendMessage(Base64.getDecoder().decode(words[1]));
                case "close" -> call.halfClose();
                case "answer" -> answer(call, listener);
                default -> {
                    while (true) {
                        answer(call, listener);
                    }
                }
            }
        }
    }
}
