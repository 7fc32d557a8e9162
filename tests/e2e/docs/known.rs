//! What the documentation's commands may be: programs that are known, and those that are not run, each
//! for a reason.

/// Programs that commands are made of. What isn't here is not run, and fails the test.
pub(super) const PROGRAMS: &[&str] = &[
    "capture-agent",
    "target/release/capture-agent",
    "cat",
    "cp",
    "curl",
    "echo",
    "ethtool",
    "grep",
    "gzip",
    "head",
    "ip",
    "jq",
    "ls",
    "man",
    "mkdir",
    "mkfifo",
    "mv",
    "rm",
    "sort",
    "tail",
    "tc",
    "tcpdump",
    "tshark",
    "uniq",
];

/// Programs that this host lacks, what takes their place, and why.
pub(super) const STAND_INS: &[(&str, &str, &str)] = &[
    ("sudo", r#"exec "$@""#, "it is root who runs this"),
    ("ssh", r#"shift; exec sh -c "$*""#, "the other host is this one"),
    ("docker", r#"echo "$NGINX""#, "asked for the process of a container, it is told nginx's"),
    (
        "wireshark",
        "exec tshark -r - > /dev/null",
        "there is no screen; tshark reads by the same code",
    ),
];

/// Commands that are not run: how they begin, and why.
pub(super) const NOT_RUN: &[(&str, &str)] = &[
    ("cargo ", "builds what is tested here, for minutes; what runs this test is one of them"),
    ("valgrind ", PROFILES),
    ("callgrind_annotate ", PROFILES),
    ("perf ", PROFILES),
    ("sudo setcap ", "changes the program that other tests run"),
    ("echo 1 > /proc/sys/kernel/", "is a setting of the whole machine"),
];

const PROFILES: &str = "profiles a release build, by what is not installed for tests";

/// A program that a command calls and that is not known.
pub(super) fn unknown(command: &str) -> Option<String> {
    let known = |program: &str| {
        PROGRAMS.contains(&program) || STAND_INS.iter().any(|(name, ..)| *name == program)
    };
    let mut programs = stages(command).into_iter().filter_map(|stage| {
        let is_program = |word: &&str| !(word.contains('=') || ["!", "sudo", "_"].contains(word));
        stage.split_whitespace().find(is_program).map(str::to_owned)
    });
    programs.find(|program| !known(program))
}

/// A command cut at `|`, `;`, `&`, `$(…)` and line ends outside of quotes; for a text in quotes there
/// is `_`.
fn stages(command: &str) -> Vec<String> {
    let mut stages = Vec::new();
    // What is open: a quote, and the stage that is read; each `$(` opens another one.
    let mut open = vec![(None, String::new())];
    let (mut escaped, mut last) = (false, ' ');
    for c in command.chars() {
        let depth = open.len();
        let (quote, stage) = open.last_mut().unwrap();
        match (*quote, c) {
            _ if escaped => escaped = false,
            (None | Some('"'), '\\') => escaped = true,
            (None | Some('"'), '(') if last == '$' => open.push((None, String::new())),
            (None, ')') if depth > 1 => stages.extend(open.pop().map(|(_, stage)| stage)),
            (None, '#') if last == ' ' => break,
            (None, '\'' | '"') => *quote = Some(c),
            (Some(end), _) if end == c => {
                *quote = None;
                stage.push('_');
            }
            (None, '|' | ';' | '&' | '\n') if last != '>' => stages.push(std::mem::take(stage)),
            (None, _) => stage.push(c),
            (Some(_), _) => {}
        }
        last = c;
    }
    stages.extend(open.into_iter().map(|(_, stage)| stage));
    stages
}

#[test]
fn programs_are_found_wherever_a_command_calls_them() {
    for known in [
        "sudo capture-agent run | jq -c 'select(.a | nope)'",
        "A=1 capture-agent run --netns \"$(docker inspect -f '{{.x}}' web)\" --iface x # | nope",
        "capture-agent read x 2>&1 | head -1 && echo 'a; nope'",
    ] {
        assert_eq!(unknown(known), None, "{known}");
    }
    for bad in
        ["nope", "cat x | nope", "cat \"$(nope x)\"", "sudo nope", "echo; nope", "cat x\nnope"]
    {
        assert_eq!(unknown(bad).as_deref(), Some("nope"), "{bad}");
    }
}
