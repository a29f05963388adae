//! What survives: a process that dies, a disk that is full, changes that come together.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::*;

const NOW: u64 = 1_785_542_400_000;

fn binding(contact: &str, expires: u64) -> Binding {
    Binding {
        contact: contact.as_bytes().into(),
        q: 700,
        instance: Some(b"\"<urn:uuid:1>\""[..].into()),
        reg_id: Some(1),
        call_id: b"call \xff not UTF-8"[..].into(),
        cseq: 4_000_000_000,
        path: vec![
            b"<sip:a;lr;ob>"[..].into(),
            b"\"x, y\" <sip:b;lr>"[..].into(),
        ],
        user_agent: Some(b"Phone/1"[..].into()),
        created: NOW,
        updated: NOW + 1,
        expires,
    }
}

fn aor(name: &str) -> Aor {
    Aor::new(name.as_bytes(), "example.test")
}

async fn set(store: &Store, aor: &Aor, bindings: Vec<Binding>) -> Result<(), StoreError> {
    let pending = store.update(aor, |_| Ok::<_, StoreError>(Some(bindings)))?;
    store.finish(pending).await
}

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("registrar.sqlite");
    (folder, file)
}

#[tokio::test]
async fn what_was_answered_is_there_after_a_restart_and_nothing_else() {
    let (_folder, file) = folder();
    let store = Store::open(&file, NOW).unwrap();
    let (one, two) = (binding("sip:a@h", NOW + 10), binding("sip:b@h", NOW + 20));
    set(&store, &aor("alice"), vec![one.clone(), two.clone()])
        .await
        .unwrap();
    set(&store, &aor("bob"), vec![one.clone()]).await.unwrap();
    set(&store, &aor("bob"), vec![]).await.unwrap();
    drop(store);

    let store = Store::open(&file, NOW).unwrap();
    assert_eq!(store.get(&aor("alice")), [one, two.clone()]);
    assert_eq!(store.len(), 2);
    assert_eq!(store.aors_of_contact(b"sip:%61@H"), [aor("alice")]);
    assert_eq!(store.aors_of_path(b"<sip:a;lr;ob>"), [aor("alice")]);
    drop(store);
    let later = Store::open(&file, NOW + 10).unwrap();
    assert_eq!(later.get(&aor("alice")), [two]);
}

#[tokio::test]
async fn many_changes_at_once_are_all_kept() {
    let (_folder, file) = folder();
    let store = Store::open(&file, NOW).unwrap();
    let names: Vec<Aor> = (0..2000)
        .map(|number| aor(&format!("user{number}")))
        .collect();
    let pending: Vec<Pending> = names
        .iter()
        .map(|aor| {
            store
                .update(aor, |_| {
                    Ok::<_, StoreError>(Some(vec![binding("sip:a@h", NOW + 10)]))
                })
                .unwrap()
        })
        .collect();
    for pending in pending {
        store.finish(pending).await.unwrap();
    }
    drop(store);
    assert_eq!(Store::open(&file, NOW).unwrap().len(), 2000);
}

/// Set in the child that `what_was_answered_survives_kill_9` starts from this very test.
const CHILD: &str = "CAUSEWAY_TEST_STORE";

#[tokio::test]
async fn what_was_answered_survives_kill_9() {
    if let Some(file) = std::env::var_os(CHILD) {
        return register_until_killed(Path::new(&file)).await;
    }
    let (_folder, file) = folder();
    let (_, module) = module_path!().split_once("::").unwrap();
    let name = format!("{module}::what_was_answered_survives_kill_9");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name.as_str(), "--nocapture"])
        .env(CHILD, &file)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut answered = 0;
    let mut line = String::new();
    while answered < 200 && std::io::BufRead::read_line(&mut output, &mut line).unwrap() > 0 {
        if let Some(number) = line.trim().strip_prefix("answered ") {
            answered = number.parse().unwrap();
        }
        line.clear();
    }
    // SIGKILL: nothing of the child's runs after it.
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(answered, 200);
    let store = Store::open(&file, NOW).unwrap();
    for number in 0..=answered {
        assert_eq!(
            store.get(&aor(&format!("user{number}"))).len(),
            1,
            "user{number}"
        );
    }
}

async fn register_until_killed(file: &Path) {
    let store = Store::open(file, NOW).unwrap();
    for number in 0.. {
        set(
            &store,
            &aor(&format!("user{number}")),
            vec![binding("sip:a@h", NOW + 10)],
        )
        .await
        .unwrap();
        println!("answered {number}");
    }
}

#[tokio::test]
async fn a_full_disk_is_an_error_and_memory_goes_back_to_what_is_on_disk() {
    let (_folder, file) = folder();
    let store = Store::open_sized(&file, 8, NOW).unwrap();
    let kept = binding("sip:kept@h", NOW + 10);
    set(&store, &aor("alice"), vec![kept.clone()])
        .await
        .unwrap();
    let huge = binding(&format!("sip:{}@h", "a".repeat(200_000)), NOW + 10);
    let result = set(&store, &aor("alice"), vec![huge.clone()]).await;
    assert_eq!(result, Err(StoreError::Full));
    assert_eq!(store.get(&aor("alice")), std::slice::from_ref(&kept));
    assert_eq!(store.aors_of_contact(b"sip:kept@h"), [aor("alice")]);
    assert_eq!(store.aors_of_contact(&huge.contact), []);
    // Two changes of one AOR that fail together: the second must not take the first for what is on disk.
    let pending: Vec<Pending> = [huge.clone(), huge.clone()]
        .map(|huge| {
            let add = |held: &[Binding]| Ok::<_, StoreError>(Some([held, &[huge]].concat()));
            store.update(&aor("alice"), add).unwrap()
        })
        .into();
    for pending in pending {
        assert_eq!(store.finish(pending).await, Err(StoreError::Full));
    }
    assert_eq!(store.get(&aor("alice")), [kept]);
    set(&store, &aor("alice"), vec![]).await.unwrap();
    assert!(store.is_empty(), "it writes again as soon as there is room");
}

#[tokio::test]
async fn a_late_failure_does_not_undo_what_came_after_it() {
    let (_folder, file) = folder();
    let store = Store::open_sized(&file, 8, NOW).unwrap();
    let huge = binding(&format!("sip:{}@h", "a".repeat(200_000)), NOW + 10);
    let failing = store
        .update(&aor("alice"), |_| Ok::<_, StoreError>(Some(vec![huge])))
        .unwrap();
    // Whether this one fails with it or not: afterwards the failing change has been tried.
    let _ = set(&store, &aor("bob"), vec![]).await;
    let small = binding("sip:small@h", NOW + 10);
    set(&store, &aor("alice"), vec![small.clone()])
        .await
        .unwrap();
    assert_eq!(store.finish(failing).await, Err(StoreError::Full));
    assert_eq!(store.get(&aor("alice")), [small]);
}

#[test]
fn a_file_that_is_none_of_ours_is_named() {
    let (_folder, file) = folder();
    std::fs::write(
        &file,
        "this is no database, but long enough to be looked at as one",
    )
    .unwrap();
    assert!(matches!(Store::open(&file, NOW), Err(StoreError::Open { path, .. }) if path == file));
    let nowhere = file.join("x");
    assert!(
        matches!(Store::open(&nowhere, NOW), Err(StoreError::Open { path, .. }) if path == nowhere)
    );
}

#[test]
fn two_processes_do_not_share_a_file() {
    let (_folder, file) = folder();
    let _first = Store::open(&file, NOW).unwrap();
    assert_eq!(
        Store::open(&file, NOW).unwrap_err(),
        StoreError::InUse { path: file }
    );
}

#[test]
fn a_file_of_a_later_version_is_left_alone() {
    let (_folder, file) = folder();
    let connection = rusqlite::Connection::open(&file).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    assert_eq!(
        Store::open(&file, NOW).unwrap_err(),
        StoreError::Version {
            path: file,
            found: 99
        }
    );
}
