use std::process::{Child, Command};

use super::*;

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn running(pid: i32) -> State {
    State {
        status: Status::Running,
        process: ProcessName::of(pid).unwrap(),
        boot: sys::host::boot_id().unwrap(),
        started: Timestamp::now(),
        ..State::default()
    }
}

fn sleeper() -> Child {
    Command::new("sleep").arg("1000").spawn().unwrap()
}

#[test]
fn what_never_ran_is_created() {
    let folder = folder();
    let found = observe(folder.path()).unwrap();
    assert_eq!((found.state.status, found.keeper), (Status::Created, Keeper::Nobody));
}

#[test]
fn a_state_comes_back_as_it_was_written() {
    let folder = folder();
    let hold = Hold::take(folder.path()).unwrap().unwrap();
    let mut state = running(std::process::id() as i32);
    state.health = Some(HealthState::default());
    for number in 0..40 {
        let id = number.to_string();
        state.execs.push(ExecState {
            id: id.clone(),
            pid: 1,
            exit_code: None,
            process: serde_json::json!({"args": ["x"]}),
        });
        if number > 0 {
            state.exec_ended(&id, number);
        }
    }
    assert_eq!(state.execs.len(), KEPT_EXECS + 1, "the first one still runs");
    hold.write(&state).unwrap();
    assert_eq!(read(folder.path()).unwrap(), state);
    let fields = r#"{"status":"exited","exit_code":3,"of_tomorrow":1}"#;
    fs::write(folder.path().join(STATE_FILE), fields).unwrap();
    assert_eq!(read(folder.path()).unwrap().exit_code, 3);
    fs::write(folder.path().join(STATE_FILE), "{").unwrap();
    assert!(read(folder.path()).is_err());
}

#[test]
fn one_monitor_holds_a_container() {
    let folder = folder();
    let hold = Hold::take(folder.path()).unwrap().unwrap();
    assert!(Hold::take(folder.path()).unwrap().is_none());
    hold.write(&running(std::process::id() as i32)).unwrap();
    assert_eq!(observe(folder.path()).unwrap().keeper, Keeper::Monitor);
    assert!(Hold::take_to_start(folder.path(), Duration::from_secs(9)).unwrap().is_none());
    hold.write(&State { status: Status::Exited, ..State::default() }).unwrap();
    let leaving = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        drop(hold);
    });
    assert!(Hold::take_to_start(folder.path(), Duration::from_secs(9)).unwrap().is_some());
    leaving.join().unwrap();
}

#[test]
fn a_container_without_its_monitor_is_seen_and_ended() {
    let folder = folder();
    let mut child = sleeper();
    let hold = Hold::take(folder.path()).unwrap().unwrap();
    hold.write(&running(child.id() as i32)).unwrap();
    drop(hold);
    let found = observe(folder.path()).unwrap();
    assert_eq!((found.state.status, found.keeper), (Status::Running, Keeper::Orphaned));
    let mut asked = 0;
    let done = recover(folder.path(), &mut |found| {
        assert_eq!(found.keeper, Keeper::Orphaned);
        asked += 1;
        Ok(())
    });
    let done = done.unwrap();
    assert_eq!((asked, done.state.status, done.state.exit_code), (1, Status::Exited, 137));
    use std::os::unix::process::ExitStatusExt;
    assert_eq!(child.wait().unwrap().signal(), Some(9));
    let found = observe(folder.path()).unwrap();
    assert_eq!((found.keeper, &found.state), (Keeper::Nobody, &done.state));
    recover(folder.path(), &mut |_| unreachable!("there is nothing to do")).unwrap();
}

#[test]
fn a_number_that_was_used_again_is_not_taken_for_the_container() {
    let folder = folder();
    let mut child = sleeper();
    let mut state = running(child.id() as i32);
    state.process.started -= 1;
    Hold::take(folder.path()).unwrap().unwrap().write(&state).unwrap();
    assert_eq!(observe(folder.path()).unwrap().keeper, Keeper::Died);
    let done = recover(folder.path(), &mut |_| Ok(())).unwrap();
    assert_eq!(done.state.exit_code, ORPHAN_CODE);
    assert!(child.try_wait().unwrap().is_none(), "a stranger was killed");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_boot_ends_what_ran() {
    let folder = folder();
    let mut state = running(std::process::id() as i32);
    state.boot = "another".to_owned();
    Hold::take(folder.path()).unwrap().unwrap().write(&state).unwrap();
    let found = observe(folder.path()).unwrap();
    assert_eq!((found.keeper, found.state.exit_code), (Keeper::Rebooted, LOST_CODE));
    assert_eq!(recover(folder.path(), &mut |_| Ok(())).unwrap().state.status, Status::Exited);
    fs::write(folder.path().join(STATE_FILE), "").unwrap();
    assert_eq!(observe(folder.path()).unwrap().keeper, Keeper::Rebooted, "a power cut emptied it");
}

#[test]
fn a_right_that_is_handed_over_is_nobody_elses_in_between() {
    let folder = folder();
    let take = || Hold::take(folder.path()).unwrap();
    let lock = take().unwrap().hand_over();
    // Two processes have it open while it is on its way.
    let copy = lock.try_clone().unwrap();
    assert!(take().is_none());
    let hold = Hold::of(folder.path(), lock);
    drop(copy);
    assert!(take().is_none());
    hold.write(&State { exit_code: 7, ..State::default() }).unwrap();
    assert_eq!(hold.found().unwrap().state.exit_code, 7);
    drop(hold);
    assert!(take().is_some());
}
