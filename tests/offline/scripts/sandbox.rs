//! A script does not get out of its sandbox.

use std::fs;
use std::os::unix::fs::symlink;

use super::Scene;

/// Runs lines of Lua before the capture and prints what they return.
#[track_caller]
fn returns(scene: &Scene, lines: &str, expected: &str) {
    let script = format!("function exchange(e)\nprint((function()\n{lines}\nend)())\nend");
    let output = scene.run_in_dir(&script, "--bodies");
    assert_eq!((output.status, output.stdout.as_str()), (Some(0), expected), "{lines}: {output:?}");
}

#[test]
fn what_reaches_out_is_not_there() {
    let scene = Scene::of_exchanges(1);
    for name in [
        "os.execute",
        "os.exit",
        "os.remove",
        "os.rename",
        "os.tmpname",
        "os.getenv",
        "os.setlocale",
        "io.popen",
        "io.tmpfile",
        "io.input",
        "io.stdin",
        "require",
        "package",
        "debug",
        "loadfile",
        "dofile",
        "string.dump",
        "warn",
        "agent",
    ] {
        returns(&scene, &format!("return {name}"), "nil\n");
    }
    for there in ["os.time() > 0", "os.clock() >= 0", "os.date() ~= nil", "os.difftime(2, 1) == 1"]
    {
        returns(&scene, &format!("return {there}"), "true\n");
    }
}

#[test]
fn bytecode_is_not_loaded() {
    let scene = Scene::of_exchanges(1);
    returns(&scene, "return load('return 1 + 1')()", "2\n");
    returns(&scene, "return load('return x', 'n', 't', {x = 3})()", "3\n");
    let bytecode = r"local f, why = load('\27Lua\x54\0') return f, why:match('attempt to load a binary chunk')";
    returns(&scene, bytecode, "nil\tattempt to load a binary chunk\n");
    returns(&scene, "return load('return 1', 'n', 'b')", "nil\tonly text can be loaded\n");
}

#[test]
fn values_of_the_agent_keep_their_metatables() {
    let scene = Scene::of_exchanges(1);
    let script = r#"function exchange(e)
      print(getmetatable(e), getmetatable(e.response), getmetatable(e.response.body))
      print(pcall(setmetatable, e, {}))
      print(pcall(function() e.response = nil end))
      print(getmetatable(""))
    end"#;
    let output = scene.run(script, "");
    let lines: Vec<_> = output.stdout.lines().collect();
    assert_eq!(lines[0], "false\tfalse\tfalse", "{output:?}");
    assert!(lines[1].starts_with("false\t") && lines[2].starts_with("false\t"), "{lines:?}");
    assert_eq!(lines[3], "false");
}

#[test]
fn files_are_those_of_the_folder() {
    let scene = Scene::of_exchanges(1);
    fs::create_dir(scene.path("dir/sub")).unwrap();
    fs::write(scene.path("secret"), "secret").unwrap();
    symlink(scene.path("secret"), scene.path("dir/link")).unwrap();
    symlink(scene.path("."), scene.path("dir/away")).unwrap();
    for path in ["../secret", "/etc/passwd", "link", "away/secret", "sub/../../secret", "sub", "."]
    {
        for mode in ["r", "w", "a", "r+", "w+", "a+"] {
            returns(&scene, &format!("return (io.open('{path}', '{mode}'))"), "nil\n");
        }
        returns(&scene, &format!("return pcall(io.lines, '{path}') == false"), "true\n");
        returns(&scene, "return 1", "1\n");
        let script = format!("function exchange(e) e:save('{path}') end");
        scene.run_in_dir(&script, "--bodies").assert_fails(1, "cannot save ");
    }
    assert_eq!(fs::read(scene.path("secret")).unwrap(), b"secret");
    returns(
        &scene,
        "return (select(2, io.open('../x')))",
        "../x: a path leads from the script's folder (--script-dir) downwards\n",
    );
    returns(
        &scene,
        "return (select(2, io.open('none')))",
        "none: No such file or directory (os error 2)\n",
    );
}

#[test]
fn files_are_read_and_written_as_lua_does() {
    let scene = Scene::of_exchanges(1);
    let script = r#"function exchange(e)
      local f <const> = assert(io.open("sub.txt", "w+"))
      assert(f:write("one\n", "two\r\n", 3) == f)
      assert(f:seek("set", 0) == 0)
      print(f:read(), f:read("L") == "two\r\n", f:read("a"), f:read("a"), f:read("l"), f:read(1))
      assert(f:seek("set", 1) == 1 and f:read(2) == "ne" and f:seek("cur") == 3)
      f:write("!")
      f:seek("set", 0)
      print(f:read(0), f:read(5, 1))
      print(f:seek("end"), f:read(0))
      f:close()
      print(pcall(f.read, f))
      for line in io.lines("sub.txt") do io.write("[", line, "]") end
      print()
      local g = io.open("sub.txt", "a")
      g:write("more")
      g:close()
      local all = io.open("sub.txt"):read("a")
      print(#all, io.open("sub.txt", "rb"):read("n") == nil)
    end"#;
    let output = scene.run_in_dir(script, "");
    output.assert_fails(1, "read takes 'l', 'L', 'a' or a number of bytes");
    let expected = "one\ttrue\t3\t\tnil\tnil\n\tone!t\tw\n10\tnil\n";
    assert!(output.stdout.starts_with(expected), "{output:?}");
    assert!(output.stdout.contains("the file is closed"), "{output:?}");
    assert!(output.stdout.contains("[one!two\r][3]\n"), "{output:?}");
    assert_eq!(fs::read(scene.path("dir/sub.txt")).unwrap(), b"one!two\r\n3more");
    let mode =
        std::os::unix::fs::MetadataExt::mode(&fs::metadata(scene.path("dir/sub.txt")).unwrap());
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn files_that_are_forgotten_are_closed_and_those_that_are_not_are_few() {
    let scene = Scene::of_exchanges(1);
    returns(
        &scene,
        "io.open('f', 'w'):close() for n = 1, 1000 do assert(io.open('f')) end return 'ok'",
        "ok\n",
    );
    returns(
        &scene,
        "local all = {} local ok, why = pcall(function()
           for n = 1, 1000 do all[n] = assert(io.open('f')) end
         end) return #all, (why:match('64 files are open already'))",
        "64\t64 files are open already\n",
    );
}
