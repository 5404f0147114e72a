// reasons.rs - how a call ends for tonic. ../reasons says what it reads and writes.
use std::collections::HashMap;
use std::error::Error;
use std::io::Write;
use std::time::Duration;

use base64::prelude::{Engine, BASE64_STANDARD};
use prost::bytes::{Buf, BufMut, Bytes};
use prost::Message;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::client::Grpc;
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::Endpoint;
use tonic::{Request, Response, Status, Streaming};
use tonic_types::{ErrorInfo, StatusExt};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Messages as they are.
#[derive(Clone, Copy)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Raw;
    type Decoder = Raw;

    fn encoder(&mut self) -> Raw {
        Raw
    }

    fn decoder(&mut self) -> Raw {
        Raw
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put(message);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, data: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(data.copy_to_bytes(data.remaining())))
    }
}

/// What the library says of the end of a call.
fn ending(status: &Status) -> Outcome<String> {
    let details = tonic_types::pb::Status::decode(status.details())?;
    let info = status.get_details_error_info().unwrap_or(ErrorInfo::new("", "", HashMap::new()));
    let parts: Vec<_> =
        details.details.iter().map(|part| part.type_url.rsplit('/').next().unwrap_or_default()).collect();
    Ok(serde_json::json!({
        "code": status.code() as i32, "message": status.message(), "reason": info.reason,
        "domain": info.domain, "metadata": info.metadata, "parts": parts, "details_message": details.message,
    })
    .to_string())
}

fn print(line: String) {
    let mut out = std::io::stdout();
    // Where nobody reads any more, the process is ended.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// The call. Its answers are there once the server has sent its headers.
enum Call {
    Opening(tokio::task::JoinHandle<Result<Response<Streaming<Bytes>>, Status>>),
    Open(Streaming<Bytes>),
}

impl Call {
    async fn next(&mut self) -> Outcome<Result<Option<Bytes>, Status>> {
        if let Call::Opening(headers) = self {
            match headers.await? {
                Ok(response) => *self = Call::Open(response.into_inner()),
                Err(status) => return Ok(Err(status)),
            }
        }
        match self {
            Call::Open(answers) => Ok(answers.message().await),
            Call::Opening(_) => unreachable!(),
        }
    }

    /// Prints the next answer, or how the call ended; then the process is over.
    async fn answer(&mut self) -> Outcome<()> {
        let status = match self.next().await? {
            Ok(Some(message)) => {
                print(format!("answer {}", BASE64_STANDARD.encode(message)));
                return Ok(());
            }
            Ok(None) => Status::ok(""),
            Err(status) => status,
        };
        print(format!("end {}", ending(&status)?));
        std::process::exit(0)
    }
}

async fn open(settings: &HashMap<String, String>, requests: mpsc::UnboundedReceiver<Bytes>) -> Outcome<Call> {
    let number = |name: &str| settings[name].parse::<u64>().expect("a number");
    let channel = Endpoint::from_shared(format!("http://{}", settings["address"]))?.connect().await?;
    let mut request = Request::new(UnboundedReceiverStream::new(requests));
    if number("seconds") > 0 {
        request.set_timeout(Duration::from_secs(number("seconds")));
    }
    if number("metadata") > 0 {
        request.metadata_mut().insert("padding", "x".repeat(number("metadata") as usize).parse()?);
    }
    let mut client = Grpc::new(channel);
    if !settings["gzip"].is_empty() {
        client = client.send_compressed(CompressionEncoding::Gzip);
    }
    let path = settings["method"].parse()?;
    client.ready().await?;
    Ok(Call::Opening(tokio::spawn(async move { client.streaming(request, path, Raw).await })))
}

#[tokio::main]
async fn main() -> Outcome<()> {
    let mut settings: HashMap<String, String> =
        [("seconds", "0"), ("metadata", "0"), ("gzip", "")].map(|(a, b)| (a.into(), b.into())).into();
    for argument in std::env::args().skip(1) {
        let (name, value) = argument.split_once('=').ok_or("an argument is NAME=VALUE")?;
        settings.insert(name.into(), value.into());
    }
    let (outbox, requests) = mpsc::unbounded_channel();
    let mut outbox = Some(outbox);
    let mut call = open(&settings, requests).await?;
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let (verb, rest) = line.split_once(' ').unwrap_or((&line, ""));
        match verb {
            "send" => {
                if let Some(outbox) = &outbox {
                    // Where the call has ended, the answer says so.
                    let _ = outbox.send(BASE64_STANDARD.decode(rest)?.into());
                }
            }
            "close" => outbox = None,
            "answer" => call.answer().await?,
            _ => loop {
                call.answer().await?
            },
        }
    }
    Ok(())
}
