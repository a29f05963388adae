use causeway_tests::kamailio::Kamailio;
use causeway_tests::ports;

#[tokio::test]
async fn the_stand_in_registrar_starts_and_ends() -> anyhow::Result<()> {
    let mut kamailio = Kamailio::registrar("kit.test", ports::free(), ports::free()).await?;
    assert!(kamailio.process.memory() > 1_000_000);
    assert!(
        kamailio
            .process
            .terminate(std::time::Duration::from_secs(5))
            .await?
            .success()
    );
    Ok(())
}
