//! Every kind of party calls every other kind, through a gateway with the real RTPEngine, and walks through all that can happen
//! to a call. After each step audio is proven where it is heard.

mod stage;
mod walk;

use anyhow::{Result, ensure};
use causeway_tests::party::{Party, Profile};
use stage::Stage;
use walk::{Outcome, walk};

/// Who calls whom.
const KINDS: [Profile; 2] = [Profile::Avp, Profile::Webrtc];

#[tokio::main]
async fn main() -> Result<()> {
    let users: Vec<String> = (0..2 * KINDS.len().pow(2))
        .map(|number| format!("user{number}"))
        .collect();
    let stage = Stage::set(&users).await?;
    let mut failed = 0;
    let pairs = KINDS
        .iter()
        .flat_map(|one| KINDS.map(|other| (*one, other)));
    for ((number, pair), (one, other)) in (0_u32..).zip(users.chunks(2)).zip(pairs) {
        let mut one = stage.phone(one, &pair[0], 2 * number).await?;
        let mut other = stage.phone(other, &pair[1], 2 * number + 1).await?;
        println!("{} calls {}", one.kind(), other.kind());
        for steps in [walk::LONG, walk::EARLY, walk::LATE, walk::CANCELLED] {
            for done in walk(steps, &mut one, &mut other).await {
                let how = match done.outcome {
                    Outcome::Ok => "ok".to_owned(),
                    Outcome::Cannot(why) => format!("cannot: {why}"),
                    Outcome::Failed(why) => {
                        failed += 1;
                        format!("FAILED: {why}")
                    }
                };
                let what = format!("{:?} by {:?}", done.step, done.who);
                println!("  {what:<30} {:>5.1} s  {how}", done.took.as_secs_f64());
            }
        }
    }
    ensure!(failed == 0, "{failed} steps failed\n{}", stage.logs());
    Ok(())
}
