// Service.java - serves the health service of grpc-java as it is, on netty.
//
// The argument is the port; 0: any. The first line of the output is the port, each later one the count of the
// streaming calls that are open. Each line of the input is the new status of the service "orders".

import io.grpc.ForwardingServerCallListener.SimpleForwardingServerCallListener;
import io.grpc.Metadata;
import io.grpc.Server;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerInterceptor;
import io.grpc.health.v1.HealthCheckResponse.ServingStatus;
import io.grpc.netty.NettyServerBuilder;
import io.grpc.protobuf.services.HealthStatusManager;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.InetSocketAddress;

public class Service {
    static class OpenCalls implements ServerInterceptor {
        private int count;

        private synchronized void add(int change) {
            count += change;
            System.out.println(count);
        }

        @Override
        public <Q, A> ServerCall.Listener<Q> interceptCall(ServerCall<Q, A> call, Metadata headers,
                ServerCallHandler<Q, A> next) {
            if (call.getMethodDescriptor().getType().serverSendsOneMessage())
                return next.startCall(call, headers);
            add(1);
            return new SimpleForwardingServerCallListener<Q>(next.startCall(call, headers)) {
                @Override
                public void onCancel() {
                    add(-1);
                    super.onCancel();
                }

                @Override
                public void onComplete() {
                    add(-1);
                    super.onComplete();
                }
            };
        }
    }

    public static void main(String[] arguments) throws Exception {
        HealthStatusManager service = new HealthStatusManager();
        InetSocketAddress address = new InetSocketAddress("127.0.0.1", Integer.parseInt(arguments[0]));
        Server server = NettyServerBuilder.forAddress(address).intercept(new OpenCalls())
                .addService(service.getHealthService()).build().start();
        System.out.println(server.getPort());
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line = lines.readLine(); line != null; line = lines.readLine())
            service.setStatus("orders", ServingStatus.valueOf(line));
        System.exit(0);
    }
}
