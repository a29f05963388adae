use causeway_tests::baresip::{Account, Phone};
use causeway_tests::gateway::Gateway;
use causeway_tests::kamailio::Kamailio;
use causeway_tests::{data, ports};

#[tokio::test]
async fn the_gateway_comes_back_in_its_folder_after_a_kill() {
    let kamailio = Kamailio::registrar("kit.test", ports::free(), ports::free())
        .await
        .unwrap();
    let udp = ports::free_address();
    let config = data::read_text("bench/causeway.toml")
        .unwrap()
        .replace("@UDP@", &udp.to_string())
        .replace("@WSS@", &ports::free_address().to_string())
        .replace("@CORE@", &ports::free_address().to_string())
        .replace("@TARGET@", &kamailio.address.to_string());
    let mut gateway = Gateway::start(&config).await.unwrap();
    let first = gateway.process.id();
    gateway.kill();
    assert!(gateway.process.status().is_some());
    gateway.restart().await.unwrap();
    assert_ne!(gateway.process.id(), first);
    assert!(gateway.process.memory() > 1_000_000);
    Phone::start_registered(&Account::new("alice", "kit.test", "secret", udp))
        .await
        .unwrap();
}
