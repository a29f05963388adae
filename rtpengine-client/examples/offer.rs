//! Offers a phone's SDP to an RTPEngine, prints what a browser would get, and deletes the call.
//!
//! `cargo run --example offer -- 127.0.0.1:2223`

use std::error::Error;

use rtpengine_client::command::{Delete, List, Offer, Ping, Query, Statistics};
use rtpengine_client::words::{Ice, Replace, RtcpMux, Sdes, TransportProtocol};
use rtpengine_client::{Client, ClientConfig, Options};

const SDP: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.10\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\n\
    m=audio 4000 RTP/AVP 8 101\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\n";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:2223".to_owned());
    let client = Client::connect(ClientConfig::new(address.parse()?)).await?;

    client.request(&Ping).await?;
    let uptime = client.request(&Statistics).await?.total.uptime();
    println!("RTPEngine at {address} has run for {uptime:?}\n");

    let offer = Offer::new("example-call", "example-tag", SDP).options(Options {
        transport_protocol: Some(TransportProtocol::DtlsSavpf),
        ice: Some(Ice::Force),
        sdes: vec![Sdes::Off],
        rtcp_mux: vec![RtcpMux::Offer],
        replace: vec![Replace::Origin],
        ..Options::default()
    });
    match client.request(&offer).await?.sdp {
        Some(sdp) => println!("{sdp}"),
        None => println!("no SDP"),
    }

    println!("calls: {:?}", client.request(&List::default()).await?.calls);
    for (tag, side) in client.request(&Query::new("example-call")).await?.tags {
        let ports: Vec<_> = side
            .medias
            .iter()
            .flat_map(|media| &media.streams)
            .map(|stream| stream.local_port)
            .collect();
        println!("{tag}: ports {ports:?}");
    }
    let last = client
        .request(&Delete::new("example-call").delay(std::time::Duration::ZERO))
        .await?;
    println!("{} packets", last.totals.rtp.packets);
    Ok(())
}
