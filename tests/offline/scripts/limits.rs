//! Each call of a script ends, and takes no more than it may, whatever it does about that.

use super::Scene;

const TOO_MANY: &str = "steps in one call (--script-steps)";

/// Each is a way to go on for ever, or for very long.
#[test]
fn nothing_goes_on_for_ever() {
    let scene = Scene::of_exchanges(2);
    for line in [
        "while true do end",
        "repeat until false",
        "local function f() return f() end f()",
        "while true do pcall(function() while true do end end) end",
        "while true do xpcall(function() while true do end end, function() end) end",
        "xpcall(function() while true do end end, function() while true do end end)",
        "xpcall(error, function() while true do end end)",
        "while true do coroutine.wrap(function() end)() end",
        "while true do local c = coroutine.create(function() while true do end end) coroutine.resume(c) end",
        "local c = coroutine.wrap(function() while true do coroutine.yield() end end) while true do c() end",
        "while true do load(function() while true do end end) end",
        "local m = {__close = function() while true do end end}
         local function f() local x <close> = setmetatable({}, m) return f() + 1 end f()",
        "local m m = {__close = function()
           local a <close> = setmetatable({}, m) local b <close> = setmetatable({}, m)
           while true do end
         end} local x <close> = setmetatable({}, m) while true do end",
        "local c = coroutine.create(function()
           local x <close> = setmetatable({}, {__close = function() while true do end end})
           coroutine.yield()
         end) coroutine.resume(c) while true do coroutine.close(c) end",
        "setmetatable(_G, {__index = function(t, k) while true do end end}) return nothing",
        "table.sort({1, 2, 3}, function() while true do end end)",
        "('x'):gsub('x', function() while true do end end)",
        "while true do pcall(string.rep, 'x', 1 << 40) end",
        "while true do pcall(error, setmetatable({}, {__tostring = function() while true do end end})) end",
        "error(setmetatable({}, {__tostring = function() while true do end end}))",
        "print(setmetatable({}, {__tostring = function() while true do end end}))",
        "table.concat(setmetatable({}, {__index = function() return '' end}), '', 1, 1 << 60)",
        "while true do collectgarbage() end",
        "while true do local n = 0 for k, v in pairs(e.request) do n = n + 1 end end",
        "goto there ::there:: goto there",
        "for x in function() end, nil, nil, setmetatable({}, {__close = function() while true do end end}) do end",
        "for x in function() return 1 end, nil, nil, setmetatable({}, {__close = function() while true do end end}) do end",
    ] {
        let script = format!("function exchange(e)\n{line}\nend");
        let output = scene.run(&script, "--script-steps 200000");
        output.assert_fails(1, TOO_MANY);
        assert!(output.stderr.contains("x.lua:"), "{line}: {}", output.stderr);
    }
}

#[test]
fn a_table_that_says_it_is_endless_ends_the_script() {
    let scene = Scene::of_exchanges(1);
    for call in ["table.remove(t, 1)", "table.insert(t, 1, 2)"] {
        let script = format!(
            "local t = setmetatable({{}}, {{__len = function() return 1 << 40 end}})
             function exchange(e) {call} end"
        );
        scene.run(&script, "").assert_fails(1, "too many elements to move");
    }
    let script = "local t = {1, 2} function exchange(e) table.insert(t, 3) table.insert(t, 1, 0)
                  table.remove(t) print(table.remove(t, 1), #t) end";
    assert_eq!(scene.prints(script, ""), "0\t2\n");
}

#[test]
fn each_call_has_all_its_steps() {
    let scene = Scene::of_exchanges(50);
    let script = "local n = 0 function exchange(e) for i = 1, 10000 do n = n + 1 end end
                  function finished() print(n) end";
    assert_eq!(scene.prints(script, "--script-steps 50000"), "500000\n");
}

#[test]
fn a_script_whose_errors_are_counted_goes_on_after_a_call_that_took_too_long() {
    let scene = Scene::of_exchanges(4);
    let script = "function exchange(e)
                    if e.index % 2 == 0 then pcall(function() while true do end end) end
                    for i = 1, 10000 do end
                    print(e.index)
                  end";
    let output = scene.run(script, "--script-errors count --script-steps 50000");
    assert_eq!((output.status, output.stdout.as_str()), (Some(0), "1\n3\n"), "{output:?}");
    assert!(output.stderr.contains("2 errors of the script"), "{}", output.stderr);
}

#[test]
fn memory_is_bounded() {
    let scene = Scene::of_exchanges(2);
    for line in [
        "local s = ('x'):rep(1 << 30)",
        "local t = {} while true do t[#t + 1] = {} end",
        "local s = 'x' while true do s = s .. s end",
        "local t = {} while true do t[#t + 1] = coroutine.create(function() end) end",
        "table.concat(setmetatable({}, {__index = tostring}), '', 1, 1 << 60)",
    ] {
        let script = format!("function exchange(e)\n{line}\nend");
        let output = scene.run(&script, "--script-memory 8MiB --script-steps 100000000");
        output.assert_fails(1, "more memory than it may have (--script-memory)");
    }
}

#[test]
fn an_error_for_want_of_memory_is_an_error_as_others_are() {
    let scene = Scene::of_exchanges(2);
    let script = "function exchange(e) print(pcall(string.rep, 'x', 1 << 30)) end";
    let printed = scene.prints(script, "--script-memory 8MiB");
    assert_eq!(printed, "false\tnot enough memory\nfalse\tnot enough memory\n");
}

#[test]
fn what_is_held_of_exchanges_counts_as_memory() {
    let scene = Scene::of_exchanges(4_000);
    let holding = "local all = {} function exchange(e) all[#all + 1] = e end";
    let output = scene.run(holding, "--script-memory 2MiB");
    output.assert_fails(
        1,
        "the exchanges that it holds take more than 2097152 bytes (--script-memory)",
    );
    // Those that are let go are no burden.
    let counting =
        "local n = 0 function exchange(e) n = n + 1 end function finished() print(n) end";
    assert_eq!(scene.prints(counting, "--script-memory 2MiB"), "4000\n");
}

#[test]
fn finalizers_are_refused_for_nobody_counts_their_steps() {
    let scene = Scene::of_exchanges(1);
    let script =
        "function exchange(e) setmetatable({}, {__gc = function() while true do end end}) end";
    scene.run(script, "").assert_fails(1, "x.lua:1: a script can't have __gc");
}

#[test]
fn calls_of_the_library_that_would_take_for_ever_are_refused_or_short() {
    let scene = Scene::of_exchanges(1);
    let script = "function exchange(e)
      print(#string.rep('', 1 << 62), #(''):rep(1 << 62, ''))
      print(pcall(table.move, {}, 1, math.maxinteger - 1, 2))
    end";
    assert_eq!(scene.prints(script, ""), "0\t0\nfalse\ttoo many elements to move\n");
}
