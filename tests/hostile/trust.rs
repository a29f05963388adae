//! DESIGN §11's shape: a public side on all addresses, and a core side on one, of one port. Who may use which.

use std::net::SocketAddr;
use std::time::Duration;

use causeway_tests::gateway::Gateway;
use causeway_tests::prober::Prober;
use causeway_tests::{http, ports, wait};
use tokio::net::UdpSocket;

#[tokio::test]
async fn a_core_side_beside_a_public_one_on_all_addresses_hears_its_list_only() {
    let (port, admin) = (ports::free(), ports::free_address());
    let core = SocketAddr::from(([127, 0, 0, 7], port));
    let config = format!(
        "[node]\ndata_dir = \"@FOLDER@/data\"\n[admin]\nlisten = \"{admin}\"\n\
         [listen.public]\nudp = \"0.0.0.0:{port}\"\nadvertise = \"127.0.0.1\"\n\
         [listen.core]\nudp = \"{core}\"\ntcp = \"{core}\"\ntrust = [\"127.0.0.3\", \"127.0.0.32/28\"]\n\
         [group.registrars]\nmembers = [\"sip:127.0.0.3:{port}\"]\n\
         [[route]]\nfrom = \"devices\"\nto = \"group:registrars\"\n"
    );
    let _gateway = Gateway::start(&config).await.unwrap();
    let public = SocketAddr::from(([127, 0, 0, 1], port));
    // OPTIONS to the address that was asked is for the gateway itself, on either side.
    for (own, to) in [
        ("127.0.0.50:0", public),
        ("127.0.0.3:0", core),
        ("127.0.0.40:0", core),
    ] {
        let (status, ..) = Prober::new(own, to)
            .await
            .unwrap()
            .ask("OPTIONS")
            .await
            .unwrap();
        assert_eq!(status, 200, "{own} to {to}");
    }
    for stranger in ["127.0.0.50:0", "127.0.0.48:0", "127.0.0.1:0"] {
        let socket = UdpSocket::bind(stranger).await.unwrap();
        socket
            .send_to(b"OPTIONS sip:a SIP/2.0\r\n\r\n", core)
            .await
            .unwrap();
        let tcp = causeway_tests::raw::tcp(stranger.trim_end_matches(":0"), core).await;
        if let Ok(mut tcp) = tcp {
            causeway_tests::raw::read_to_end(&mut tcp, Duration::from_secs(5))
                .await
                .unwrap();
        }
    }
    let refused = || async {
        let (_, body) = http::get(admin, "/status").await.unwrap();
        let figures: serde_json::Value = serde_json::from_str(&body).unwrap();
        figures["refused"]["untrusted"] == 6 && figures["unreadable"] == 0
    };
    assert!(
        wait::until_async(Duration::from_secs(10), refused).await,
        "{:?}",
        http::get(admin, "/status").await
    );
}
