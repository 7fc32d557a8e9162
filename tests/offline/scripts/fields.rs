//! The values that a script gets have the fields of the contract, and no others.

use std::fs;

use serde_json::Value;

use super::Scene;
use crate::support::agent::json_lines;
use crate::support::pcap::Conversation;

/// Prints a value as JSON, with the names of its fields in order and without those that are nil.
const TO_JSON: &str = r#"
local function json(value)
  local kind = type(value)
  if kind == "string" then
    return '"' .. value:gsub('[%c"\\]', function(c) return ("\\u%04x"):format(c:byte()) end) .. '"'
  elseif kind ~= "table" and kind ~= "userdata" then
    return tostring(value)
  end
  local parts = {}
  if kind == "table" and (#value > 0 or next(value) == nil) then
    for _, item in ipairs(value) do parts[#parts + 1] = json(item) end
    return "[" .. table.concat(parts, ",") .. "]"
  end
  for key, item in pairs(value) do parts[#parts + 1] = json(key) .. ":" .. json(item) end
  return "{" .. table.concat(parts, ",") .. "}"
end
"#;

/// What is left of JSON where null is nil.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let there = fields.iter().filter(|(_, value)| !value.is_null());
            Value::Object(there.map(|(key, value)| (key.clone(), without_nulls(value))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(without_nulls).collect()),
        other => other.clone(),
    }
}

/// A flow with about all that an exchange can have.
fn rich() -> Scene {
    let flow = Conversation::new("10.0.0.5:51234", "10.0.0.1:80")
        .open()
        .client_sends(
            b"POST /a?b HTTP/1.1\r\nHost: example.com\r\nContent-Length: 7\r\n\
              Content-Type: application/x-www-form-urlencoded\r\nX: \"\x01\xff\r\n\r\na=1&b=2",
        )
        .server_sends(b"HTTP/1.1 100 Continue\r\n\r\n")
        .server_sends(
            b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nTransfer-Encoding: chunked\r\n\r\n\
              3\r\n\x89PN\r\n0\r\nTrailing: yes\r\n\r\n",
        )
        .client_sends(b"GET /next HTTP/1.0\r\n\r\n");
    Scene::of(flow)
}

#[test]
fn exchanges_and_flows_are_those_of_json_lines() {
    let scene = rich();
    let script = format!(
        "{TO_JSON} function exchange(e) print(json(e)) end flow_closed = function(f) print(json(f)) end"
    );
    let arguments = "--bodies --forms --events exchange,flow";
    let path = scene.path("x.jsonl");
    let output =
        scene.agent(&script, arguments).args(["--output".as_ref(), path.as_os_str()]).run();
    assert_eq!(output.status, Some(0), "{output:?}");
    let written = json_lines(&fs::read_to_string(&path).unwrap());
    assert_eq!(written.len(), 3);
    let written: Vec<_> = written.iter().map(without_nulls).collect();
    assert_eq!(output.json_lines(), written);
}

#[test]
fn a_secret_is_in_no_field_and_in_no_body() {
    let body = "user=me&password=s3cret-form";
    let request = format!(
        "POST /a?token=s3cret-query HTTP/1.1\r\nHost: h\r\nCookie: id=s3cret-header\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let flow = Conversation::new("10.0.0.5:51234", "10.0.0.1:80").open();
    let flow = flow.client_sends(request.as_bytes());
    let scene = Scene::of(flow.server_sends(b"HTTP/1.1 204 No Content\r\n\r\n"));
    let script = format!(
        "{TO_JSON} function exchange(e)
           print(json(e), e.request.body:content(), e.request.target, e.request.url)
           e:save('saved')
         end"
    );
    let hidden = scene.run_in_dir(&script, "--bodies --forms");
    let saved = fs::read_to_string(scene.path("dir/saved")).unwrap();
    assert!(hidden.stdout.contains("user=me") && saved.contains("user=me"), "{hidden:?}");
    assert!(!hidden.stdout.contains("s3cret") && !saved.contains("s3cret"), "{hidden:?} {saved}");
    fs::remove_file(scene.path("dir/saved")).unwrap();
    let shown = scene.run_in_dir(&script, "--bodies --forms --show-secrets");
    for secret in ["s3cret-form", "s3cret-query", "s3cret-header"] {
        assert!(shown.stdout.contains(secret), "{shown:?}");
    }
}

#[test]
fn each_field_by_itself_is_the_same() {
    let scene = rich();
    let script = r#"
      function exchange(e)
        if e.index > 0 then
          assert(e.response == nil and e.request.host == nil and e.request.url == nil)
          return
        end
        for _, value in ipairs { e, e.request, e.response, e.request.body, e.response.body } do
          for key, item in pairs(value) do
            if type(item) ~= "table" and type(item) ~= "userdata" then
              assert(value[key] == item, key)
            else
              assert(type(value[key]) == type(item), key)
            end
          end
        end
        print(e.type, e.client.ip, e.server.port, e.request.headers[1].name, #e.request.headers)
        print(e.request.method, e.request.body.text, e.request.body.base64, e.response.status)
        print(e.response.body.base64, e.response.body.text, #e.response.body:content())
        print(e.informational[1].status, e.response.trailers[1].value, #e.anomalies)
        print(e.request.body.form[2].name, e.timing.total_us, e.nothing, e[1], e.request.nothing)
      end
      function flow_opened(f)
        opened = f.flow
        assert(f.type == "flow" and f.client.port == 51234 and f.close == nil and f.number == 0)
        print("opened", f.start == f.last_activity)
      end
      function flow_closed(f)
        print("closed", f.flow == opened, f.close, f.exchanges, f.to_server.bytes > 0)
      end"#;
    let printed = scene.prints(script, "--bodies --forms");
    let lines: Vec<_> = printed.lines().collect();
    let expected = [
        "opened\ttrue",
        "exchange\t10.0.0.5\t80\tHost\t4",
        "POST\ta=1&b=2\tnil\t200",
        "iVBO\tnil\t3",
        "100\tyes\t1",
        "b\t5000\tnil\tnil\tnil",
        "closed\ttrue\tfin\t2\ttrue",
    ];
    assert_eq!(lines[..5], expected[..5], "{printed}");
    assert!(lines[5].starts_with("b\t") && lines[5].ends_with("\tnil\tnil\tnil"), "{printed}");
    assert_eq!(lines[6..], expected[6..], "{printed}");
}

#[test]
fn a_body_is_there_as_far_as_it_is_kept() {
    let scene = Scene::of_exchanges(1);
    let script = r#"function exchange(e)
      print(e.response.body:content(), e.request.body:content() == "", e.response.body.truncated)
    end"#;
    assert_eq!(scene.prints(script, "--bodies"), "hello\ttrue\tfalse\n");
    assert_eq!(scene.prints(script, "--bodies=2B"), "he\ttrue\ttrue\n");
    let without = scene.prints(script, "");
    assert!(without.starts_with("nil\ttrue\t"), "{without}");
}

#[test]
fn values_can_be_kept_beyond_their_call() {
    let scene = Scene::of_exchanges(20);
    let script = r#"
      local all = {}
      function exchange(e) all[#all + 1] = e.response end
      function finished() print(#all, all[1].status, all[20].body:content()) end"#;
    assert_eq!(scene.prints(script, "--bodies"), "20\t200\thello\n");
}

#[test]
fn bytes_are_as_they_were_on_the_wire_and_all_of_them() {
    let scene = Scene::of_exchanges(3);
    let script = r#"
      local up, down, at = {}, 0, 0
      function sent(f, bytes, offset)
        assert(offset == at and f.flow)
        at = at + #bytes
        up[#up + 1] = bytes
      end
      function received(f, bytes) down = down + #bytes end
      function finished()
        io.write(table.concat(up))
        print(down)
      end"#;
    let arguments = "--show-secrets --format jsonl --events stats";
    let output = scene.run(script, arguments);
    assert_eq!(output.status, Some(0), "{output:?}");
    let (ledger, printed) = split_ledger(&output.stdout);
    let expected: String = (0..3)
        .map(|n| format!("GET /{n}?q=1 HTTP/1.1\r\nHost: example.com\r\nCookie: id=1\r\n\r\n"))
        .collect();
    let down =
        3 * "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello".len();
    assert_eq!(printed, format!("{expected}{down}\n"));
    let bytes = expected.len() + down;
    assert_eq!(ledger["raw"]["data_bytes"]["made"], bytes);
    assert_eq!(ledger["raw"]["data_bytes"]["dropped"], 0);
    assert_eq!(ledger["bytes"], bytes);
}

/// The ledger among what was printed, and the rest.
fn split_ledger(stdout: &str) -> (Value, String) {
    let is_ledger = |line: &&str| line.starts_with("{\"type\":\"stats\"");
    let ledger = stdout.lines().find(is_ledger).unwrap();
    let rest = stdout.replacen(&format!("{ledger}\n"), "", 1);
    (serde_json::from_str(ledger).unwrap(), rest)
}
