//! `--where` and `--content-type` on real traffic.

use crate::support::fetch::fetch;
use crate::support::lab::Lab;
use crate::support::ledger::{assert_balances, number};
use crate::support::live::{self, Agent};
use crate::support::nginx::Nginx;
use crate::support::process::Process;

/// An agent with these filters.
fn filtering(lab: &Lab, filters: &[&str]) -> Agent {
    let events = "run --iface eth0 --format jsonl --events exchange,stats";
    let mut command = live::command(&lab.server, events);
    Agent::started(Process::start(command.args(filters)))
}

#[test]
fn what_an_expression_is_true_of_is_shown_and_the_rest_is_counted() {
    let lab = Lab::new();
    let nginx = Nginx::start(&lab.server);
    nginx.serve("page.html", b"<p>");
    nginx.serve("logo.png", &[b'x'; 5_000]);
    let expression = r#"request.url.matches("^http://10[.]77[.]0[.]1/") && response.status == 404
        || header(request, "user-agent").startsWith("odd/")"#;
    let agent = filtering(&lab, &["--where", expression]);
    // This one ends when it has what it wants: the first image.
    let first_image = filtering(&lab, &["--content-type", "Image/*", "--count", "1"]);

    for path in ["page.html", "missing", "site/logo.png", "page.html?a"] {
        fetch(&lab.client, &format!("http://10.77.0.1/{path}"), "");
    }
    fetch(&lab.client, "http://10.77.0.1/page.html?odd", "--user-agent odd/1");

    let images = first_image.wait().objects("exchange");
    let images: Vec<_> = images.iter().map(|image| image["request"]["target"].as_str()).collect();
    assert_eq!(images, [Some("/site/logo.png")]);
    let ended = agent.stop();
    let shown = ended.objects("exchange");
    let mut shown: Vec<_> = shown.iter().map(|it| it["request"]["target"].as_str()).collect();
    shown.sort_unstable();
    assert_eq!(shown, [Some("/missing"), Some("/page.html?odd")]);
    let ledger = &ended.objects("stats")[0];
    assert_eq!(number(ledger, "/exchanges/filtered"), 3);
    assert_eq!(number(ledger, "/exchanges/undecided"), 0);
    assert_balances(ledger, true);
}

#[test]
fn who_serves_can_be_asked_for() {
    let lab = Lab::new();
    let _nginx = Nginx::start(&lab.server);
    let expression = r#"local == "server" && process.name == "nginx""#;
    let agent = filtering(&lab, &["--where", expression]);
    let others = filtering(&lab, &["--where", r#"has(process.name) && process.name != "nginx""#]);
    for n in 0..5 {
        fetch(&lab.client, &format!("http://10.77.0.1/?{n}"), "");
    }
    assert_eq!(agent.stop().objects("exchange").len(), 5);
    assert!(others.stop().objects("exchange").is_empty());
}
