// service.rs - serves the health service of tonic-health as it is.
//
// The argument is the port; 0: any. The first line of the output is the port, each later one the count of the
// streaming calls that are open. Each line of the input is the new status of the service "orders".

use http_body::{Body as HttpBody, Frame, SizeHint};
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::body::Body;
use tonic::codegen::http::Response;
use tonic_health::ServingStatus;

static COUNT: Mutex<i64> = Mutex::new(0);

fn add(change: i64) {
    let mut count = COUNT.lock().unwrap();
    *count += change;
    println!("{count}");
}

/// The answers of one call. It is dropped when the call is over.
struct Counted(Body);

impl Drop for Counted {
    fn drop(&mut self) {
        add(-1);
    }
}

impl HttpBody for Counted {
    type Data = <Body as HttpBody>::Data;
    type Error = <Body as HttpBody>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.0).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

fn counted(response: Response<Body>) -> Response<Body> {
    add(1);
    response.map(|body| Body::new(Counted(body)))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let port = std::env::args().nth(1).expect("the port");
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    let (reporter, service) = tonic_health::server::health_reporter();
    // A Watch of a service that it does not know is refused.
    reporter.set_service_status("orders", ServingStatus::Unknown).await;
    println!("{}", listener.local_addr()?.port());
    let server = tonic::transport::Server::builder()
        .layer(tower::util::MapResponseLayer::new(counted))
        .add_service(service)
        .serve_with_incoming(TcpListenerStream::new(listener));
    tokio::spawn(server);
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let serving = line == "SERVING";
        let status = if serving { ServingStatus::Serving } else { ServingStatus::NotServing };
        reporter.set_service_status("orders", status).await;
    }
    Ok(())
}
