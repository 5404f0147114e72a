// client.rs - publishes and subscribes with tonic as fast as it goes, and prints what it counted as one JSON
// object. The arguments are NAME=VALUE, see main().
use std::collections::HashMap;
use std::error::Error;
use std::time::{Duration, Instant};

use tonic::transport::{Channel, Endpoint};
use tonic::Streaming;

mod v1 {
    tonic::include_proto!("tributary.v1");
}

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

struct Settings(HashMap<String, String>);

impl Settings {
    fn text(&self, name: &str) -> String {
        self.0.get(name).cloned().unwrap_or_default()
    }

    fn number(&self, name: &str) -> u64 {
        self.text(name).parse().unwrap_or_else(|_| panic!("{name}: not a number"))
    }
}

/// A connection of its own.
async fn connect(settings: &Settings) -> Outcome<Channel> {
    let mut endpoint = Endpoint::from_shared(format!("http://{}", settings.text("address")))?;
    if settings.number("keepalive") > 0 {
        endpoint = endpoint
            .http2_keep_alive_interval(Duration::from_secs(settings.number("keepalive")))
            .keep_alive_while_idle(true);
    }
    if settings.number("window") > 0 {
        let window = settings.number("window") as u32;
        endpoint = endpoint.initial_stream_window_size(window).initial_connection_window_size(window);
    }
    Ok(endpoint.connect().await?)
}

/// Counts the events that arrive and those that are lost, until the stream ends.
async fn receive(mut batches: Streaming<v1::EventBatch>) -> Outcome<(u64, u64)> {
    let (mut received, mut lost) = (0, 0);
    while let Some(batch) = batches.message().await? {
        received += batch.runs.iter().map(|run| run.events.len() as u64).sum::<u64>();
        lost += batch.lost.iter().map(|lost| lost.count).sum::<u64>();
    }
    Ok((received, lost))
}

/// Sends messages until the time is over. Returns how many were sent, and how many confirmed.
async fn publish(settings: &Settings, channel: Channel) -> Outcome<(u64, u64)> {
    let event = v1::Event { topic: "foreign".into(), data: vec![0; 128], ..Default::default() };
    let request = v1::PublishStreamRequest {
        producer: settings.text("name"),
        events: vec![event; settings.number("pack") as usize],
        ..Default::default()
    };
    let sent = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let counter = sent.clone();
    let until = Instant::now() + Duration::from_secs(settings.number("seconds"));
    let requests = tokio_stream::iter(std::iter::from_fn(move || {
        (Instant::now() < until).then(|| {
            counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            request.clone()
        })
    }));
    let mut answers =
        v1::publisher_client::PublisherClient::new(channel).publish_stream(requests).await?.into_inner();
    let mut confirmed = 0;
    while let Some(answer) = answers.message().await? {
        if let Some(refused) = answer.refused.first() {
            return Err(format!("refused: {refused:?}").into());
        }
        confirmed = answer.confirmed_batch;
    }
    let pack = settings.number("pack");
    Ok((sent.load(std::sync::atomic::Ordering::Relaxed) * pack, confirmed * pack))
}

fn seconds(seconds: i64) -> Option<prost_types::Duration> {
    Some(prost_types::Duration { seconds, nanos: 0 })
}

#[tokio::main]
async fn main() -> Outcome<()> {
    // window, keepalive: 0 is the library's default.
    let mut settings = Settings(HashMap::new());
    let defaults = ["name=rust", "seconds=10", "pack=64", "overflow=block", "window=0", "keepalive=0"];
    for argument in defaults.map(String::from).into_iter().chain(std::env::args().skip(1)) {
        let (name, value) = argument.split_once('=').ok_or("an argument is NAME=VALUE")?;
        settings.0.insert(name.into(), value.into());
    }
    let mut subscriber = v1::subscriber_client::SubscriberClient::new(connect(&settings).await?);
    let publisher = connect(&settings).await?;
    let buffer = match settings.text("overflow").as_str() {
        "block" => v1::Buffer {
            overflow: v1::Overflow::Block as i32,
            block_timeout: seconds(30),
            ..Default::default()
        },
        _ => v1::Buffer::default(),
    };
    let request = v1::SubscribeRequest {
        selectors: vec![v1::Selector { producer: settings.text("name"), ..Default::default() }],
        buffer: Some(buffer),
        ..Default::default()
    };
    let mut batches = subscriber.subscribe(request).await?.into_inner();
    let first = batches.message().await?.ok_or("the subscription ended at once")?;
    let subscription_id = first.started.ok_or("the first batch has no `started`")?.subscription_id;
    let receiver = tokio::spawn(receive(batches));

    let began = Instant::now();
    let (published, confirmed) = publish(&settings, publisher).await?;
    let elapsed = began.elapsed().as_secs_f64();
    subscriber.finish(v1::FinishRequest { subscription_id, drain: seconds(30) }).await?;
    let (received, lost) = receiver.await??;
    println!(
        "{{\"published\": {published}, \"confirmed\": {confirmed}, \"received\": {received}, \
         \"lost\": {lost}, \"seconds\": {elapsed}}}"
    );
    Ok(())
}
