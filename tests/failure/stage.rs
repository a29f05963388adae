//! One scene that tests share, since most of a failed call is waiting: RFC 3261 keeps what a phone refused for 32 s
//! (Timer D). The last to leave looks whether anything stayed.

use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use causeway_tests::scene::Scene;
use causeway_tests::wait;
use tokio::sync::Mutex;

static SHARED: Mutex<Weak<Scene>> = Mutex::const_new(Weak::new());
static NEXT: AtomicUsize = AtomicUsize::new(0);

/// What a user may be called, before its number.
const ROLES: [&str; 3] = ["alice", "bob", "desk"];
/// Tests that may share the scene.
const TESTS: usize = 16;
/// The longest that a transaction is kept after its end, Timer D, with a machine that is busy.
const LONGEST: Duration = Duration::from_secs(40);
/// How long RTPEngine may keep an INVITE that failed: `delete_delay`, a second in a scene, and it looks once a second.
const DELETED: Duration = Duration::from_secs(3);

/// A test's part in the shared scene.
pub(crate) struct Part {
    scene: Arc<Scene>,
    number: usize,
}

impl Part {
    /// Enters; who comes first starts the scene.
    pub(crate) async fn take() -> Self {
        let mut shared = SHARED.lock().await;
        let scene = match shared.upgrade() {
            Some(scene) => scene,
            None => {
                let users: Vec<String> = (0..TESTS)
                    .flat_map(|n| ROLES.map(|role| format!("{role}-{n}")))
                    .collect();
                let scene = Arc::new(Scene::start_with(&users, crate::FAST).await.unwrap());
                *shared = Arc::downgrade(&scene);
                scene
            }
        };
        Part {
            scene,
            number: NEXT.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// A user that no other test has.
    pub(crate) fn user(&self, role: &str) -> String {
        format!("{role}-{}", self.number)
    }

    /// Leaves. Who is the last waits until no transaction and no session is left.
    pub(crate) async fn leave(self) {
        let entrance = SHARED.lock().await;
        if Arc::strong_count(&self.scene) > 1 {
            drop(self);
            return drop(entrance);
        }
        drop(entrance);
        let over = wait::until_async(LONGEST, || async {
            // Who has come meanwhile is the last then.
            !self.is_last().await || self.is_idle().await
        });
        assert!(
            over.await,
            "after {LONGEST:?}: {}",
            self.scene.status().await.unwrap()
        );
        if self.is_last().await {
            self.scene.nothing_stays(DELETED).await.unwrap();
            // Every answer was for somebody: one to our own CANCEL too, which is else sent again and again.
            let dropped = &self.scene.status().await.unwrap()["answered"];
            assert!(dropped["stray_response"].is_null(), "{dropped}");
        }
    }

    async fn is_last(&self) -> bool {
        let _entrance = SHARED.lock().await;
        Arc::strong_count(&self.scene) == 1
    }

    async fn is_idle(&self) -> bool {
        self.scene
            .status()
            .await
            .is_ok_and(|status| status["transactions"] == 0)
    }
}

impl Deref for Part {
    type Target = Scene;

    fn deref(&self) -> &Scene {
        &self.scene
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "--- the end of the shared gateway's log\n{}\n---",
                self.scene.gateway.process.log_tail()
            );
        }
    }
}
