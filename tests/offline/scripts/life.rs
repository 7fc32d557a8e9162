//! How a script begins and ends, and what becomes of the outputs beside it.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::Scene;
use crate::support::agent::{Agent, json_lines};

const PRINT_STATUS: &str = "function exchange(e) print(e.response.status) end";

#[test]
fn only_the_script_writes_unless_more_is_asked_for() {
    let scene = Scene::of_exchanges(2);
    assert_eq!(scene.prints(PRINT_STATUS, ""), "200\n201\n");
    let both = scene.prints(PRINT_STATUS, "--output -");
    assert!(both.contains("GET example.com/0?q=1  200") && both.contains("\n201\n"), "{both}");
    let both = scene.prints(PRINT_STATUS, "--format jsonl");
    assert!(both.contains("{\"type\":\"exchange\"") && both.contains("201\n"), "{both}");
}

#[test]
fn print_is_lua_s() {
    let scene = Scene::of_exchanges(1);
    let script = r#"function exchange(e)
      print(1, nil, "a\0b", 1.5, true, setmetatable({}, { __tostring = function() return "t" end }))
      print()
      io.write("x", 2, "\n")
    end"#;
    assert_eq!(scene.prints(script, ""), "1\tnil\ta\0b\t1.5\ttrue\tt\n\nx2\n");
}

#[test]
fn a_script_gets_what_its_functions_are_for_whatever_outputs_show() {
    let scene = Scene::of_exchanges(2);
    let path = scene.path("x.jsonl");
    let script = r#"function flow_closed(f) print(f.exchanges) end"#;
    let output = scene
        .agent(script, "--events exchange,stats")
        .args(["--output".as_ref(), path.as_os_str()])
        .run();
    assert_eq!((output.status, output.stdout.as_str()), (Some(0), "2\n"), "{output:?}");
    let lines = json_lines(&fs::read_to_string(&path).unwrap());
    let kinds: Vec<_> = lines.iter().map(|line| line["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["exchange", "exchange", "stats"]);
    let outputs = lines[2]["exchanges"]["outputs"].as_array().unwrap();
    let [file, script] = &outputs[..] else { panic!("{outputs:?}") };
    assert_eq!((&file["exchanges"], &file["flows"]), (&2.into(), &0.into()));
    assert_eq!(file["left_out"]["flows"], 1);
    assert_eq!((&script["exchanges"], &script["flows"]), (&0.into(), &1.into()));
    assert_eq!(script["left_out"]["exchanges"], 2);
}

#[test]
fn stop_ends_all_after_that_event_for_any_number_of_threads() {
    let scene = Scene::of_exchanges(1_000);
    let script = r#"
      function exchange(e) if e.index == 9 then stop() print("stopping") end end
      function finished() print("finished") end"#;
    for threads in ["1", "2", "3", "5"] {
        let path = scene.path("x.jsonl");
        let output = scene
            .agent(script, "--events exchange,flow --threads")
            .args([threads])
            .args(["--output".as_ref(), path.as_os_str()])
            .run();
        assert_eq!(output.status, Some(0), "{output:?}");
        assert_eq!(output.stdout, "stopping\nfinished\n", "{threads} threads");
        assert!(!output.stderr.contains("balance"), "{}", output.stderr);
        let lines = json_lines(&fs::read_to_string(&path).unwrap());
        let indices: Vec<_> = lines.iter().map(|line| line["index"].as_u64()).collect();
        assert_eq!(indices, (0..10).map(Some).collect::<Vec<_>>(), "{threads} threads");
    }
}

#[test]
fn the_ledger_of_a_capture_that_was_stopped_balances() {
    let scene = Scene::of_exchanges(500);
    let script = "function exchange(e) stop() end function sent() end function flow_opened() end";
    let arguments = "--show-secrets --format jsonl --events exchange,stats";
    let output = scene.run(script, arguments);
    assert_eq!(output.status, Some(0), "{output:?}");
    let ledger: Value = output.json_lines().pop().unwrap();
    let exchanges = &ledger["exchanges"];
    let outputs = exchanges["outputs"].as_array().unwrap();
    assert_eq!(outputs.len(), 2);
    for output in outputs {
        let left_out = output["left_out"]["exchanges"].as_u64().unwrap_or(0);
        assert_eq!(
            (&output["exchanges"], left_out + 1),
            (&1.into(), exchanges["made"].as_u64().unwrap())
        );
    }
}

#[test]
fn an_error_names_file_line_and_function_and_ends_with_status_1() {
    let scene = Scene::of_exchanges(3);
    let path = scene.path("x.jsonl");
    let script = "-- one\nfunction exchange(e)\n  if e.index == 1 then\n    print(e.respnse.status)\n  end\nend";
    for threads in ["1", "3"] {
        let output = scene
            .agent(script, "--threads")
            .args([threads])
            .args(["--output".as_ref(), path.as_os_str()])
            .run();
        output.assert_fails(1, "the script has failed in exchange(): ");
        output.assert_fails(1, "x.lua:4: attempt to index a nil value (field 'respnse')");
        assert!(!output.stderr.contains("traceback"), "{}", output.stderr);
        // The outputs have what came before, and the exchange that it was about.
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 2);
    }
}

#[test]
fn errors_of_any_kind_name_their_place() {
    let scene = Scene::of_exchanges(1);
    for (line, says) in [
        ("error('own')", "x.lua:2: own"),
        ("error('own', 0)", "x.lua:2: own"),
        ("error({})", "x.lua:2: table: 0x"),
        ("error()", "x.lua:2: nil"),
        ("string.rep()", "x.lua:2: bad argument #1 to 'rep'"),
        ("e:save('x')", "x.lua:2: files take a folder for them: --script-dir DIR"),
        ("io.open('x')", "x.lua:2: files take a folder for them: --script-dir DIR"),
        ("coroutine.wrap(function() error('in it') end)()", "x.lua:2: in it"),
        (
            "local t = setmetatable({}, {__index = function() error('meta') end}) t.x = t.y",
            "x.lua:2: meta",
        ),
        ("e.x = 1", "x.lua:2: "),
        ("string.format('%d', 'x')", "x.lua:2: bad argument #2 to 'format'"),
    ] {
        let output = scene.run(&format!("function exchange(e)\n{line}\nend"), "");
        output.assert_fails(1, says);
    }
}

#[test]
fn errors_are_counted_where_that_is_asked_for() {
    let scene = Scene::of_exchanges(10);
    let script = "function exchange(e) if e.index > 1 then error('no') end print(e.index) end";
    let output = scene.run(script, "--script-errors count --format jsonl --events stats");
    assert_eq!(output.status, Some(0), "{output:?}");
    assert_eq!(output.stderr.matches("x.lua:1: no").count(), 3, "{}", output.stderr);
    assert!(output.stderr.contains("8 errors of the script"), "{}", output.stderr);
    let ledger = output.stdout.lines().find(|line| line.starts_with('{')).unwrap();
    let ledger: Value = serde_json::from_str(ledger).unwrap();
    assert_eq!(ledger["exchanges"]["outputs"][1]["errors"], 8);
    assert_eq!(ledger["exchanges"]["outputs"][1]["exchanges"], 10);
}

#[test]
fn what_is_wrong_before_the_capture_is_status_2_and_touches_no_output() {
    let scene = Scene::of_exchanges(1);
    let path = scene.path("x.jsonl");
    fs::write(&path, "of yesterday").unwrap();
    for (script, says) in [
        ("function exchange(e)\n  print(\nend", "x.lua:3: unexpected symbol near 'end'"),
        ("x = nil + 1", "x.lua:1: attempt to perform arithmetic"),
        ("stop()", "x.lua:1: stop() ends a capture, and none has begun"),
        ("while true do end", "x.lua:1: more than 100000000 steps in one call (--script-steps)"),
        (
            "local function exchange(e) end",
            "defines none of the functions that are called: exchange(e), flow_opened(f)",
        ),
        ("\x1bLua", "x.lua: "),
        ("function sent(f, bytes) end", "sent(), which gets bytes as they were on the wire"),
        ("function received(f, bytes) end", "--show-secrets"),
    ] {
        let output = scene.agent(script, "").args(["--output".as_ref(), path.as_os_str()]).run();
        output.assert_fails(2, says);
        assert_eq!(fs::read_to_string(&path).unwrap(), "of yesterday", "{script}");
    }
    let capture = scene.path("x.pcap");
    Agent::read(&capture)
        .args(["--script", "/no/such.lua"])
        .run()
        .assert_fails(2, "cannot read the script /no/such.lua: No such file");
    scene
        .run(PRINT_STATUS, "--script-dir /no/such")
        .assert_fails(2, "cannot use the script's folder /no/such: No such file");
    Agent::read(&capture).args(["--script-dir", "."]).run().assert_fails(2, "--script");
}

#[test]
fn a_first_line_for_the_shell_is_passed_over() {
    let scene = Scene::of_exchanges(1);
    let script = format!("#!/usr/bin/env lua\n{PRINT_STATUS}");
    assert_eq!(scene.prints(&script, ""), "200\n");
}

#[test]
fn a_closed_pipe_ends_it_quietly() {
    let scene = Scene::of_exchanges(200);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let script = "function exchange(e) pcall(print, ('x'):rep(70000)) end";
    let output = scene.agent(script, "").stdout(writer).run();
    assert_eq!((output.status, output.stderr.as_str()), (Some(0), ""), "{output:?}");
}

#[test]
fn what_can_not_be_printed_is_status_1() {
    let scene = Scene::of_exchanges(1);
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = scene.agent(PRINT_STATUS, "").stdout(full).run();
    output.assert_fails(1, "cannot write to standard output: No space left on device");
}

#[test]
fn save_writes_the_response_s_body_else_the_request_s_and_never_over_another() {
    let scene = Scene::of_exchanges(2);
    let script = r#"function exchange(e)
      print(e:save(e.index .. ".txt"))
      print(pcall(e.save, e, "0.txt"))
    end"#;
    let output = scene.run_in_dir(script, "--bodies=3B");
    assert_eq!(output.status, Some(0), "{output:?}");
    let lines: Vec<_> = output.stdout.lines().collect();
    assert_eq!((lines[0], lines[2]), ("0.txt\tfalse", "1.txt\tfalse"), "{lines:?}");
    assert!(lines[1].contains("cannot save 0.txt: File exists"), "{lines:?}");
    assert_eq!(fs::read(scene.path("dir/0.txt")).unwrap(), b"hel");
    let script = "function exchange(e) e:save('y.txt') end";
    scene.run_in_dir(script, "").assert_fails(1, "none was kept (--bodies=LIMIT)");
    assert!(!Path::new(&scene.path("dir/y.txt")).exists());
}
