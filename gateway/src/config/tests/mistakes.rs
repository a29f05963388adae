//! One mistake a row, and what must be said of it and where. `▶` marks the place; the rest of a good file is added.
use super::*;

#[rustfmt::skip] // a row stays a row
const MISTAKES: &[(&str, &str, &str)] = &[
    // What is no TOML.
    ("[node]\nid = ▶\n", "error: ", "expected"),
    ("[node]\ndata_dir = \"/tmp▶\n", "error: invalid basic string", "expected `\"`"),
    ("[node]\nid = 1\n▶id = 2\n", "error: duplicate key", "given once"),
    ("[node]\nid ▶1\n", "error: key with no value", "expected `=`"),
    // What passed lately.
    ("[trace]\nmemory = ▶\"64KiB\"\n", "error: `memory` holds hardly one call", "\"1MiB\" at least"),
    ("[trace]\nmemory = ▶\"16 megs\"\n", "error: `16 megs` is not a size", "B, KiB, MiB"),
    ("[trace]\nsecrets = ▶\"shown\"\n", "error: `trace.secrets` cannot be `shown`", "did you mean \"show\"?"),
    ("[trace]\nhep = ▶\"homer:9060\"\n", "error: `homer:9060` does not say `udp:`", "for example \"udp:homer.example.com:9060\""),
    ("[trace]\nhep = ▶\"udp:homer\"\n", "error: `udp:homer` has no port", "for example"),
    ("[trace]\nmemory = 0\nhep = ▶\"udp:homer:9060\"\n", "error: Homer would be told nothing", "remove `memory = 0`"),
    ("[trace.hep]\nto = \"udp:homer:9060\"\npassword_file = ▶\"empty-password\"\n", "error: the first line of", "leave `password_file` out"),
    // Keys that nobody knows.
    ("[▶nod]\nid = 1\n", "error: unknown key `nod`", "did you mean `node`?"),
    ("[node]\n▶worker = 2\n", "error: unknown key `node.worker`", "did you mean `workers`?"),
    ("[node]\n▶colour = 2\n", "error: unknown key `node.colour`", "known here: id, key_file, data_dir"),
    ("[listen.a]\n▶upd = \"127.0.0.1:5060\"\nudp = \"127.0.0.1:5061\"\n", "error: unknown key `listen.a.upd`", "did you mean `udp`?"),
    ("[registrar]\n▶min_expire = \"60s\"\n", "error: unknown key", "did you mean `min_expires`?"),
    ("[log]\n▶levl = \"info\"\n", "error: unknown key `log.levl`", "did you mean `level`?"),
    ("[domain.\"a.example\"]\nusers = [{ name = \"a\", ▶passwort = \"x\", password = \"correct horse\" }]\n", "error: unknown key", "did you mean `password`?"),
    ("[domain.\"a.example\"]\nusers = [{ name = \"a\", password = \"correct horse\" }]\nauth.▶algorithm = \"MD5\"\n", "error: unknown key", "did you mean `algorithms`?"),
    // Types and units.
    ("[node]\nid = ▶\"1\"\n", "error: `node.id` must be a number, not a string", "for example `id = 10`"),
    ("[node]\nid = ▶70000\n", "error: `node.id` cannot be 70000", "from 0 to 65535"),
    ("[node]\nid = ▶0\n", "error: `node.id` is too small: 0", "at least 1"),
    ("[node]\nworkers = ▶1000\n", "error: `node.workers` is too large: 1000", "at most 256; the default is 0"),
    ("[node]\nworkers = ▶1.5\n", "error: `node.workers` must be a number, not a fraction", "workers = 10"),
    ("[node]\ndata_dir = ▶\"\"\n", "error: `node.data_dir` is empty", "leave the key out"),
    ("node = ▶3\n", "error: `node` must be a table", "node = { id = … }"),
    ("[listen.a]\nws = \"127.0.0.1:80\"\npage = ▶\"yes\"\n", "error: `listen.a.page` must be true or false, not a string", "page = true"),
    ("[listen]\n▶udp = \"127.0.0.1:5060\"\n", "error: `listen.udp` must be a table with a name", "[listen.NAME]"),
    ("[registrar]\nmin_expires = ▶60\n", "error: `registrar.min_expires` has no unit", "min_expires = \"60s\""),
    ("[registrar]\nmin_expires = ▶\"60\"\n", "error: `60` is not a duration", "for example \"60s\""),
    ("[registrar]\nmax_expires = ▶\"1 hour\"\n", "error: `1 hour` is not a duration", "\"1h\""),
    ("[registrar]\nmin_expires = ▶true\n", "error: `registrar.min_expires` must be a duration", "min_expires = \"30s\""),
    ("[limits]\nmessage_size = ▶\"64kb\"\n", "error: `64kb` is not a size", "\"64KiB\""),
    ("[limits]\nmessage_size = ▶512\n", "error: `limits.message_size` is too small: 512", "at least \"4KiB\""),
    ("[limits]\nidle_timeout = ▶\"1s\"\n", "error: `limits.idle_timeout` is too small", "at least \"30s\"; the default is \"61m\""),
    ("[log]\nlevel = ▶\"verbose\"\n", "error: `log.level` cannot be `verbose`", "one of error, warn, info, debug, trace"),
    ("[log]\nlevel = ▶\"inof\"\n", "error: `log.level` cannot be `inof`", "did you mean \"info\"?"),
    ("[log]\nformat = ▶\"JSON\"\n", "error: `log.format` cannot be `JSON`", "did you mean \"json\"?"),
    // Call-outs.
    ("[[route]]\nfrom = \"devices\"\nto = \"call-out:a\"\n[call_out.a]\nurl = ▶\"127.0.0.1:8088\"\n", "error: `127.0.0.1:8088` is not a URL", "http://127.0.0.1:8088/route"),
    ("[[route]]\nfrom = \"devices\"\nto = \"call-out:a\"\n[call_out.a]\nurl = ▶\"ftp://a.example\"\n", "error: `ftp` is not spoken here", "http://127.0.0.1:8088/route"),
    ("[[route]]\nfrom = \"devices\"\nto = \"call-out:a\"\n[call_out.a]\nurl = ▶\"http://me:secret@a.example\"\n", "error: a user and password in a URL end up in logs", "by its address"),
    ("[[route]]\nfrom = \"devices\"\nto = \"call-out:a\"\n[call_out.a]\n▶uri = \"http://a.example\"\nurl = \"http://a.example\"\n", "error: unknown key `call_out.a.uri`", "did you mean `url`?"),
    ("[[route]]\nfrom = \"devices\"\nto = \"call-out:a\"\n[call_out.a]\nurl = \"http://a.example\"\ntimeout = ▶\"1m\"\n", "error: `call_out.a.timeout` is too large", "at most \"10s\"; the default is \"500ms\""),
    ("[[route]]\nfrom = \"devices\"\nto = \"call-out:a\"\n[call_out.a]\nurl = \"http://a.example\"\nat_once = ▶0\n", "error: `call_out.a.at_once` is too small: 0", "at least 1"),
    ("[[route]]\nfrom = \"devices\"\nto = \"call-out:a\"\n[call_out.a]\nurl = \"http://a.example\"\non_failure = ▶\"group:x\"\n", "error: there is no [group.x]", "add [group.x]"),
    ("[[route]]\nfrom = \"devices\"\nto = \"call-out:a\"\n[call_out.a]\nurl = \"http://a.example\"\non_failure = ▶\"call-out:a\"\n", "error: one call-out after another", "\"reject 503\""),
    ("[call_out.▶a]\nurl = \"http://a.example\"\n", "warning: no route asks the call-out `a`", "to = \"call-out:a\""),
    ("[[route]]\nfrom = \"devices\"\nto = ▶\"call-out:b\"\n", "error: there is no [call_out.b]", "add [call_out.b]"),
    ("[[route]]\nfrom = \"devices\"\nto = ▶\"callout:b\"\n", "error: nothing goes to `callout:b`", "call-out:NAME"),
    // Calls.
    ("[calls]\nkept = ▶1000000\n", "error: `calls.kept` is too large: 1000000", "at most 100000; the default is 1000"),
    ("[calls]\n▶record = \"a\"\n", "error: unknown key `calls.record`", "did you mean `records`?"),
    // TURN.
    ("[turn]\nurls = ▶\"turn.example.com\"\n", "error: `turn.example.com` is not a STUN or TURN URI", "turn:turn.example.com:3478"),
    ("[turn]\nurls = [\"stun:a.example\", ▶\"trun:a.example\"]\n", "error: `trun:a.example` is not a STUN or TURN URI", "did you mean `turn:`?"),
    ("[turn]\nurls = ▶\"turn://a.example\"\n", "error: `turn://a.example` has slashes", "\"turn:a.example\""),
    ("[turn]\nurls = ▶\"turn:a.example?transport=tls\"\n", "error: `transport=tls` says nothing", "`?transport=udp`"),
    ("[turn]\nurls = ▶\"stun:a.example?transport=udp\"\n", "error: `stun:` takes nothing behind `?`", "\"stun:a.example\""),
    ("[turn]\nurls = [\"stun:b.example\", ▶\"turn:a.example\"]\n", "error: `turn:a.example` wants credentials", "secret_file"),
    ("[turn]\nsecret_file = ▶\"empty-password\"\n", "error: the first line of", "static-auth-secret"),
    ("[turn]\n▶secret_file = \"password\"\n", "warning: no TURN server uses this secret", "add `urls"),
    ("[turn]\n▶urls = \"stun:a.example\"\n", "warning: no listener serves the page", "page = true"),
    // Addresses.
    ("[listen.a]\nudp = ▶\"127.0.0.1\"\n", "error: `127.0.0.1` has no port", "\"127.0.0.1:5060\""),
    ("[listen.a]\nudp = ▶\"::1:5060\"\n", "error: `::1:5060` is an IPv6 address without brackets", "\"[::1]:5060\""),
    ("[listen.a]\nudp = [\"127.0.0.1:5060\", ▶\"127.0.0.1:99999\"]\n", "error: `99999` is not a port", "1 to 65535"),
    ("[listen.a]\nudp = ▶\"10.0.0.300:5060\"\n", "error: `10.0.0.300` is not an IPv4 address", "0 to 255"),
    ("[listen.a]\nudp = ▶\"sbc.example.com:5060\"\n", "error: `sbc.example.com` is a name", "advertise"),
    ("[listen.a]\nudp = ▶\"[::1:5060\"\n", "error: `[::1:5060` lacks a closing bracket", "[2001:db8::1]:5060"),
    ("[listen.a]\nudp = ▶\"127.0.0.1:0\"\n", "warning: port 0", "5060"),
    ("[listen.▶a]\n", "error: `listen.a` has no socket", "udp = \"0.0.0.0:5060\""),
    ("[listen.a]\nudp = ▶\"0.0.0.0:5060\"\n", "error: `0.0.0.0:5060` is every address", "advertise = \"sbc.example.com\"` to [listen.a]"),
    ("[listen.a]\nudp = \"127.0.0.1:5060\"\n[listen.b]\nudp = ▶\"127.0.0.1:5060\"\n", "error: `127.0.0.1:5060` is already taken by `listen.a.udp[0]`", "\"127.0.0.1:5061\""),
    ("[listen.a]\ntcp = \"127.0.0.1:5060\"\nws = ▶\"127.0.0.1:5060\"\n", "error: `127.0.0.1:5060` is already taken by `listen.a.tcp[0]`", "another port"),
    ("[listen.a]\ntcp = \"127.0.0.1:5060\"\n[admin]\nlisten = ▶\"127.0.0.1:5060\"\n", "error: `127.0.0.1:5060` is already taken", "another port"),
    ("[listen.a]\nudp = \"127.0.0.1:5060\"\nadvertise = ▶\"env:NOPE\"\n", "error: the environment has no variable `NOPE`", "NOPE=sbc.example.com"),
    ("[listen.a]\nudp = \"127.0.0.1:5060\"\nadvertise = ▶\"0.0.0.0\"\n", "error: nobody can reach `0.0.0.0`", "sbc.example.com"),
    ("[listen.a]\nudp = \"127.0.0.1:5060\"\nadvertise = ▶\"sip:sbc.example.com;lr\"\n", "error: `sip:sbc.example.com;lr` is a URI", "\"sbc.example.com\""),
    ("[listen.a]\nudp = \"127.0.0.1:5060\"\ntrust = ▶\"10.0.0.0/33\"\n", "error: `10.0.0.0/33` is not a network", "10.0.0.0/24"),
    ("[listen.a]\nudp = \"127.0.0.1:5060\"\ntrust = ▶\"10.0.0.5/24\"\n", "error: `10.0.0.5/24` is an address inside a network", "\"10.0.0.0/24\""),
    ("[listen.a]\nudp = \"127.0.0.1:5060\"\npath = ▶\"recieved\"\n", "error: `listen.a.path` cannot be `recieved`", "received"),
    ("[listen.a]\nudp = \"127.0.0.1:5060\"\npath = ▶\"received\"\n", "warning: a registrar that acts on `received` mixes up two devices", "\"token\""),
    ("[listen.a]\nws = \"127.0.0.1:5060\"\npath = ▶\"received\"\n", "warning: a registrar that acts on `received` does not find a browser", "\"token\""),
    ("[listen.a]\nudp = \"127.0.0.1:5060\"\ntrust = \"10.0.0.0/8\"\npath = ▶\"received\"\n", "warning: no device registers at a core side", "where the devices are"),
    ("[listen.a]\nudp = \"127.0.0.1:5060\"\ncore = [\"10.0.0.0/24\", ▶\"::/0\"]\n", "error: `::/0` makes every device one of the core", "name the networks"),
    ("[listen.a]\nudp = \"127.0.0.1:5060\"\ntrust = \"10.0.0.0/24\"\n▶core = \"10.0.0.0/24\"\n", "error: `listen.a` has `trust`, so no device speaks to it", "`core` alone"),
    ("[listen.a]\nudp = ▶\"0.0.0.0:5060\"\nadvertise = \"sbc.example.com\"\ncore = \"10.0.0.0/24\"\n", "error: `0.0.0.0:5060` is every address of this machine, and with `core`", "\"10.33.69.151:5060\""),
    ("[listen.a]\nudp = \"127.0.0.1:5060\"\ntrust = [\"10.0.0.0/24\", ▶\"0.0.0.0/0\"]\n", "warning: `0.0.0.0/0` trusts the whole world", "name the networks"),
    ("[listen.a]\nudp = \"127.0.0.1:5060\"\nedges = ▶\"10.0.0.0/33\"\n", "error: `10.0.0.0/33` is not a network", "10.0.0.0/24"),
    ("[listen.a]\nudp = \"127.0.0.1:5060\"\nedges = ▶\"0.0.0.0/0\"\n", "warning: `0.0.0.0/0` trusts the whole world", "name the networks"),
    ("[listen.a]\nws = ▶\"10.0.0.1:80\"\n", "warning: `10.0.0.1:80` speaks WebSocket without TLS", "use `wss`"),
    ("[listen.a]\nudp = \"127.0.0.1:5060\"\n▶page = true\n", "error: `listen.a.page` has no effect", "wss = \"0.0.0.0:443\""),
    ("[listen.a]\nws = \"127.0.0.1:80\"\norigins = ▶\"https://phone.example.com/\"\n", "error: `https://phone.example.com/` is not an origin", "\"https://phone.example.com\""),
    ("[listen.a]\nws = \"127.0.0.1:80\"\norigins = ▶\"phone.example.com\"\n", "error: `phone.example.com` is not an origin", "\"https://phone.example.com\""),
    ("[admin]\nlisten = ▶\"0.0.0.0:9090\"\n", "error: the admin API would be open to everybody", "\"127.0.0.1:9090\""),
    ("[admin]\nlisten = ▶\"203.0.113.5:9090\"\n", "error: the admin API would be open to everybody", "private address"),
    ("[listen.a]\ntcp = \"0.0.0.0:5060\"\nadvertise = \"sbc.example.com\"\n[listen.b]\ntcp = ▶\"127.0.0.1:5060\"\n", "error: `127.0.0.1:5060` is already taken by `listen.a.tcp[0]`", "another port"),
    // Certificates and files.
    ("[listen.a]\n▶tls = \"127.0.0.1:5061\"\n", "error: `listen.a.tls` needs a certificate", "certificate = { chain"),
    ("[listen.a]\n▶wss = \"127.0.0.1:443\"\n", "error: `listen.a.wss` needs a certificate", "certificate = { chain"),
    ("[listen.a]\nwss = \"127.0.0.1:443\"\n▶certificate = { chain = \"good.pem\" }\n", "error: `key` is missing from `listen.a.certificate`", "add `key = "),
    ("[listen.a]\nwss = \"127.0.0.1:443\"\n▶certificate = { key = \"good.key\" }\n", "error: `chain` is missing from `listen.a.certificate`", "add `chain = "),
    ("[listen.a]\nwss = \"127.0.0.1:443\"\ncertificate = { chain = ▶\"god.pem\", key = \"good.key\" }\n", "error: cannot read", "did you mean"),
    ("[listen.a]\nwss = \"127.0.0.1:443\"\ncertificate = { chain = \"good.pem\", key = ▶\"keys/privkey.pem\" }\n", "privkey.pem: no such file or directory", "there is no directory"),
    ("[listen.a]\nwss = \"127.0.0.1:443\"\ncertificate = { chain = \"good.pem\", key = ▶\"elsewhere.pem\" }\n", "elsewhere.pem: no such file or directory", "relative to the directory of the configuration file"),
    ("[listen.a]\nwss = \"127.0.0.1:443\"\ncertificate = { chain = \"good.pem\", key = ▶\"other.key\" }\n", "other.key is not the key of the first certificate in", "when it is renewed"),
    ("[listen.a]\nwss = \"127.0.0.1:443\"\ncertificate = { chain = ▶\"nothing.pem\", key = \"good.key\" }\n", "nothing.pem holds no PEM certificate", "BEGIN CERTIFICATE"),
    ("[listen.a]\nwss = \"127.0.0.1:443\"\ncertificate = { chain = \"good.pem\", key = ▶\"nothing.pem\" }\n", "nothing.pem holds no PEM private key", "BEGIN PRIVATE KEY"),
    ("[listen.a]\nwss = \"127.0.0.1:443\"\ncertificate = { chain = ▶\"expired.pem\", key = \"expired.key\" }\n", "warning: the certificate expired on", "renew it"),
    ("[listen.a]\nwss = \"127.0.0.1:443\"\ncertificate = { chain = ▶\"early.pem\", key = \"early.key\" }\n", "warning: the certificate is not valid before", "clock"),
    ("[listen.a]\nwss = \"127.0.0.1:443\"\nadvertise = \"edge.example.com\"\ncertificate = { chain = ▶\"good.pem\", key = \"good.key\" }\n", "warning: the certificate is not for `edge.example.com`", "it is for sbc.example.com"),
    ("[listen.a]\nwss = \"127.0.0.1:443\"\ncertificate = { chain = \"good.pem\", key = ▶\"open.key\" }\n", "others can read it (mode 0644)", "chmod 600"),
    ("[listen.a]\nudp = \"127.0.0.1:5060\"\n▶certificate = { chain = \"good.pem\", key = \"good.key\" }\n", "warning: no socket uses this certificate", "add `tls` or `wss`"),
    ("[node]\nkey_file = ▶\"cluster.kye\"\n", "cluster.kye: no such file", "cluster.key?"),
    ("[node]\nkey_file = ▶\"short.key\"\n", "short.key: line 1: a key is 64 hexadecimal digits", "verify-from"),
    // Clusters.
    ("[cluster]\nshared_core = \"10.0.0.100\"\nnodes = [{ id = 1, address = \"sip:10.0.0.1\" }, ▶{ id = 2, address = \"sip:10.0.0.2\" }]\n[listen.a]\nudp = \"127.0.0.1:5060\"\n[listen.core]\nudp = \"0.0.0.0:5061\"\nadvertise = \"10.0.0.1\"\ntrust = \"10.0.0.0/8\"\n", "error: the nodes of a cluster need the same keys", "key_file = \"/etc/causeway/cluster.key\""),
    ("[node]\nkey_file = \"cluster.key\"\n[cluster]\nnodes = [{ id = 1, address = \"sip:10.0.0.1\" }, ▶{ id = 2, address = \"sip:10.0.0.2\" }]\n[listen.a]\nudp = \"127.0.0.1:5060\"\n[listen.core]\nudp = \"10.0.0.1:5060\"\ntrust = \"10.0.0.0/8\"\n", "warning: the nodes share no address towards the core", "shared_core = "),
    ("[node]\nkey_file = \"cluster.key\"\n[cluster]\nshared_core = \"10.0.0.100\"\nnodes = [{ id = 2, address = \"sip:10.0.0.2\" }, { id = ▶2, address = \"sip:10.0.0.3\" }]\n[listen.a]\nudp = \"127.0.0.1:5060\"\n[listen.core]\nudp = \"0.0.0.0:5061\"\nadvertise = \"10.0.0.1\"\ntrust = \"10.0.0.0/8\"\n", "error: two nodes have the number 2", "of its own"),
    ("[node]\nkey_file = \"cluster.key\"\n[cluster]\nshared_core = \"10.0.0.100\"\nnodes = [{ id = 2, address = \"sip:10.0.0.2\" }, { id = 3, address = ▶\"sip:10.0.0.2\" }]\n[listen.a]\nudp = \"127.0.0.1:5060\"\n[listen.core]\nudp = \"0.0.0.0:5061\"\nadvertise = \"10.0.0.1\"\ntrust = \"10.0.0.0/8\"\n", "error: node 3 has the address of node 2", "own address"),
    ("[node]\nkey_file = \"cluster.key\"\n[cluster]\nshared_core = \"10.0.0.100\"\nnodes = { id = 2, address = ▶\"sips:10.0.0.2\" }\n[listen.a]\nudp = \"127.0.0.1:5060\"\n[listen.core]\nudp = \"0.0.0.0:5061\"\nadvertise = \"10.0.0.1\"\ntrust = \"10.0.0.0/8\"\n", "error: `sips:`: nodes speak to each other over UDP and TCP only", "write `sip:`"),
    ("[node]\nkey_file = \"cluster.key\"\n[cluster]\nshared_core = \"10.0.0.100\"\nnodes = { id = 2, address = ▶\"sip:10.0.0.100\" }\n[listen.a]\nudp = \"127.0.0.1:5060\"\n[listen.core]\nudp = \"0.0.0.0:5061\"\nadvertise = \"10.0.0.1\"\ntrust = \"10.0.0.0/8\"\n", "error: `10.0.0.100` is the address that the nodes share", "no other ever has"),
    ("[node]\nkey_file = \"cluster.key\"\n[cluster]\nshared_core = \"10.0.0.100\"\nnodes = { id = 2, address = ▶\"sip:192.0.2.7\" }\n[listen.a]\nudp = \"127.0.0.1:5060\"\n[listen.core]\nudp = \"0.0.0.0:5061\"\nadvertise = \"10.0.0.1\"\ntrust = \"10.0.0.0/8\"\n", "error: no listener trusts node 2 at 192.0.2.7", "\"192.0.2.7/32\""),
    ("[node]\nkey_file = \"cluster.key\"\n[cluster]\nshared_core = \"10.0.0.100\"\nnodes = ▶{ id = 2, address = \"sip:10.0.0.2\" }\n", "error: no listener faces the core", "[listen.core]"),
    ("[node]\nkey_file = \"cluster.key\"\n[cluster]\nshared_core = \"10.0.0.100\"\nnodes = ▶{ id = 2 }\n[listen.a]\nudp = \"127.0.0.1:5060\"\n[listen.core]\nudp = \"0.0.0.0:5061\"\nadvertise = \"10.0.0.1\"\ntrust = \"10.0.0.0/8\"\n", "error: `address` is missing from `cluster.nodes[0]`", "add `address = "),
    ("[node]\nkey_file = \"cluster.key\"\n[cluster]\nshared_core = \"10.0.0.100\"\nnodes = { id = ▶0, address = \"sip:10.0.0.2\" }\n[listen.a]\nudp = \"127.0.0.1:5060\"\n[listen.core]\nudp = \"0.0.0.0:5061\"\nadvertise = \"10.0.0.1\"\ntrust = \"10.0.0.0/8\"\n", "error: `cluster.nodes[0].id` is too small", "at least 1"),
    ("[node]\nkey_file = \"cluster.key\"\n[cluster]\nshared_core = ▶\"10.0.0.100\"\nnodes = { id = 2, address = \"sip:10.0.0.2\" }\n[listen.a]\nudp = \"127.0.0.1:5060\"\n[listen.core]\nudp = \"10.0.0.1:5060\"\ntrust = \"10.0.0.0/8\"\n", "error: no core side receives on 10.0.0.100", "bind the core side to"),
    ("[node]\nkey_file = \"cluster.key\"\n[cluster]\nshared_core = \"10.0.0.100\"\nnodes = { id = 2, address = \"sip:10.0.0.2\" }\n[listen.a]\nudp = \"127.0.0.1:5060\"\n[listen.core]\nudp = \"0.0.0.0:5061\"\nadvertise = ▶\"10.0.0.100\"\ntrust = \"10.0.0.0/8\"\n", "error: `10.0.0.100` is the address that the nodes share", "own address"),
    ("[node]\nkey_file = \"cluster.key\"\n[cluster]\nshared_core = \"10.0.0.100\"\nshared_public = [▶\"sbc.example.com\"]\nnodes = { id = 2, address = \"sip:10.0.0.2\" }\n[listen.a]\nudp = \"127.0.0.1:5060\"\n[listen.core]\nudp = \"0.0.0.0:5061\"\nadvertise = \"10.0.0.1\"\ntrust = \"10.0.0.0/8\"\n", "error: no side that faces devices is called `sbc.example.com`", "advertise"),
    ("[node]\nkey_file = \"cluster.key\"\n[cluster]\nshared_core = \"10.0.0.100\"\nnodes = { id = 2, address = \"sip:10.0.0.2\" }\nprobe = { fall = ▶0 }\n[listen.a]\nudp = \"127.0.0.1:5060\"\n[listen.core]\nudp = \"0.0.0.0:5061\"\nadvertise = \"10.0.0.1\"\ntrust = \"10.0.0.0/8\"\n", "error: `cluster.probe.fall` is too small", "at least 1"),
    ("[node]\nkey_file = \"cluster.key\"\n[cluster]\n▶node = 1\n", "error: unknown key `cluster.node`", "did you mean `nodes`?"),
    ("[node]\nkey_file = \"cluster.key\"\n[cluster]\nshared_core = \"10.0.0.100\"\nnodes = { id = 2, address = \"sip:10.0.0.2\" }\n[listen.core]\nudp = [▶\"10.0.0.100:5060\", \"10.0.0.1:5060\"]\ntrust = \"10.0.0.0/8\"\n", "error: `10.0.0.100:5060` is the address that the nodes share, and stands first", "own address first"),
    // Users.
    ("[domain.▶\"a.example\"]\n", "warning: `a.example` has no users", "users_file"),
    ("[domain.▶\"sip:a.example\"]\nusers = [{ name = \"a\", password = \"correct horse\" }]\n", "error: `sip:a.example` is not a domain", "behind the @"),
    ("[domain.\"a.example\"]\nusers = [{ name = ▶\"alice\" }]\n", "error: user `alice` has no password", "password_file"),
    ("[domain.\"a.example\"]\nusers = [▶{ password = \"correct horse\" }]\n", "error: `name` is missing from `domain.a.example.users[0]`", "add `name = "),
    ("[domain.\"a.example\"]\nusers = [{ name = ▶\"alice@a.example\", password = \"correct horse\" }]\n", "error: `alice@a.example` is an address", "\"alice\""),
    ("[domain.\"a.example\"]\nusers = [{ name = ▶\"al ice\", password = \"correct horse\" }]\n", "error: `al ice` cannot be a user's name", "\"alice\""),
    ("[domain.\"a.example\"]\nusers = [\n  { name = \"alice\", password = \"correct horse\" },\n  { name = ▶\"alice\", password = \"correct horse\" },\n]\n", "error: user `alice` is given twice", "causeway.toml:3"),
    ("[domain.\"a.example\"]\nusers = [{ name = \"alice\", password = \"correct horse\" }]\nusers_file = \"twice-users.toml\"\n", "error: user `alice` is given twice", "causeway.toml:2"),
    ("[domain.\"a.example\"]\nusers_file = \"bad-users.toml\"\n", "error: unknown key `users[0].passwort`", "did you mean `password`?"),
    ("[domain.\"a.example\"]\nusers_file = ▶\"users.tml\"\n", "users.tml: no such file", "users.toml?"),
    ("[domain.\"a.example\"]\nusers = [{ name = \"alice\", password = \"correct horse\", ▶ha1 = \"00112233445566778899aabbccddeeff\" }]\n", "error: user `alice` has both `password` and `ha1`", "keep the one"),
    ("[domain.\"a.example\"]\nusers = [{ name = \"alice\", password = ▶\"\" }]\n", "error: the password of `alice` is empty", "twelve characters"),
    ("[domain.\"a.example\"]\nusers = [{ name = \"alice\", password = ▶\"alice\" }]\n", "warning: the password of `alice` is the user's name", "twelve characters"),
    ("[domain.\"a.example\"]\nusers = [{ name = \"alice\", password_env = ▶\"NOPE\" }]\n", "error: the environment has no variable `NOPE`", "password_file"),
    ("[domain.\"a.example\"]\nusers = [{ name = \"alice\", password_env = ▶\"EMPTY\" }]\n", "error: the password of `alice` is empty", "twelve"),
    ("[domain.\"a.example\"]\nusers = [{ name = \"alice\", password_file = ▶\"open-password\" }]\n", "others can read it (mode 0640)", "chmod 600"),
    ("[domain.\"a.example\"]\nusers = [{ name = \"alice\", password_file = ▶\"empty-password\" }]\n", "error: the password of `alice` is empty", "twelve"),
    ("[domain.\"a.example\"]\nusers = [{ name = \"alice\", ha1 = ▶\"0011\" }]\n", "error: the ha1 of `alice` is not 32 hexadecimal digits", "name:domain:password"),
    ("[domain.\"a.example\"]\nusers = [{ name = \"alice\", ha1 = ▶\"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\" }]\n", "error: the ha1 of `alice` is not 32", "algorithm = \"SHA-256\""),
    ("[domain.\"a.example\"]\nusers = [{ name = \"alice\", ha1 = ▶\"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\", algorithm = \"SHA-256\" }]\n", "error: `alice` can never log in", "\"SHA-256\" to the domain's `auth.algorithms`"),
    ("[domain.\"a.example\"]\nusers = [{ name = \"alice\", password = \"correct horse\", ▶algorithm = \"MD5\" }]\n", "error: `algorithm` is that of `ha1`", "remove it"),
    ("[domain.\"a.example\"]\nusers = [{ name = \"alice\", password = \"correct horse\" }]\nauth.algorithms = [▶\"SHA256\"]\n", "error: `domain.a.example.auth.algorithms[0]` cannot be `SHA256`", "did you mean \"SHA-256\"?"),
    ("[domain.\"a.example\"]\nusers = [{ name = \"alice\", password = \"correct horse\" }]\nauth.algorithms = ▶[\"MD5\", \"SHA-256\"]\n", "error: the strongest algorithm stands first", "[\"SHA-256\", \"MD5\"]"),
    ("[domain.\"a.example\"]\nusers = [{ name = \"alice\", password = \"correct horse\" }]\nauth.algorithms = ▶[]\n", "error: without an algorithm", "[\"MD5\"]"),
    ("[domain.\"a.example\"]\nusers = [{ name = \"alice\", password = \"correct horse\" }]\naliases = [▶\"a.example\"]\n", "error: `a.example` already means the users of `a.example`", "one domain"),
    ("[domain.\"a.example\"]\nusers = [{ name = \"alice\", password = \"correct horse\" }]\n▶medium = \"srtp\"\n", "error: unknown key `domain.a.example.medium`", "did you mean `media`?"),
    ("[domain.\"A.example\"]\nusers = [{ name = \"alice\", password = \"correct horse\" }]\n[domain.▶\"a.example\"]\nusers = [{ name = \"alice\", password = \"correct horse\" }]\n", "error: `a.example` already means the users of `A.example`", "one domain"),
    // Keepalive.
    ("[listen.a]\nudp = \"127.0.0.1:5060\"\nkeepalive = { udp = ▶\"option\" }\n", "error: `listen.a.keepalive.udp` cannot be `option`", "did you mean \"options\"?"),
    ("[listen.a]\nudp = \"127.0.0.1:5060\"\nkeepalive = { interval = ▶\"500ms\" }\n", "error: `listen.a.keepalive.interval` is too small", "at least \"1s\"; the default is \"25s\""),
    ("[listen.a]\nudp = \"127.0.0.1:5060\"\nkeepalive = { interval = ▶\"1m\" }\n", "warning: many NATs have forgotten a phone after 30 s", "\"25s\""),
    ("[listen.a]\nudp = \"127.0.0.1:5060\"\nkeepalive = { ▶fall = 2 }\n", "error: `listen.a.keepalive.fall` has no effect", "udp = \"options\""),
    ("[listen.a]\nudp = \"127.0.0.1:5060\"\nkeepalive = { rate = ▶1 }\n", "error: `listen.a.keepalive.rate` is too small", "at least 10"),
    ("[listen.a]\ntcp = \"127.0.0.1:5060\"\n▶keepalive = { udp = \"options\" }\n", "error: `listen.a.keepalive` has no effect without `udp`", "limits.ping_interval"),
    ("[listen.a]\nudp = \"127.0.0.1:5060\"\ntrust = \"10.0.0.0/8\"\n▶keepalive = { udp = \"options\" }\n", "error: no device speaks to `listen.a`", "`probe` of their group"),
    // Roles.
    ("[node]\nroles = [▶\"registar\"]\n", "error: `node.roles[0]` cannot be `registar`", "did you mean \"registrar\"?"),
    ("[node]\nroles = \"edge\"\n[domain.▶\"a.example\"]\nusers = [{ name = \"alice\", password = \"correct horse\" }]\n", "error: `domain.a.example` has users here, but this node is no registrar", "leave it to the registrars"),
    ("[node]\nroles = \"registrar\"\n[listen.▶a]\nudp = \"127.0.0.1:5060\"\n", "error: `listen.a` faces devices, but this node is no edge", "add \"edge\" to `node.roles`"),
    ("[node]\nroles = ▶[\"edge\", \"registrar\"]\n[listen.a]\nudp = \"127.0.0.1:5060\"\nedges = \"10.0.0.5\"\n", "error: an edge needs a listener that faces devices", "add [listen.public]"),
    ("[node]\nroles = ▶[\"edge\", \"registrar\"]\n[[route]]\nfrom = \"devices\"\nto = \"reject 403\"\n", "error: a registrar needs a domain whose users register", "add [domain."),
    ("[node]\nroles = ▶\"registrar\"\n[listen.a]\nudp = \"127.0.0.1:5060\"\ntrust = \"10.0.0.0/8\"\n", "warning: no edge brings the users of this registrar here", "edges = [\"10.33.69.151\"]"),
    ("[listen.a]\nudp = \"127.0.0.1:5060\"\n▶edges = \"10.0.0.5\"\n[listen.b]\nudp = \"127.0.0.1:5061\"\n[[route]]\nfrom = \"devices\"\nto = \"reject 403\"\n", "error: edges bring requests to a registrar, and this node is none", "by `trust`"),
    // Registrar, media, limits, timers.
    ("[registrar]\nmax_expires = ▶\"2h\"\n", "warning: a phone that sends no keepalive is cut off", "limits.idle_timeout"),
    ("[registrar]\nmin_expires = ▶\"2h\"\n", "error: `min_expires` (\"7200s\") is longer than `max_expires` (\"3600s\")", "no device could register"),
    ("[registrar]\ndefault_expires = ▶\"2h\"\n", "error: `default_expires` (\"7200s\") is not granted", "(\"60s\") to `max_expires` (\"3600s\")"),
    ("[registrar]\nbindings = ▶0\n", "error: `registrar.bindings` is too small", "at least 1"),
    ("[media]\nrtpengine = ▶\"10.0.0.5\"\n", "error: `10.0.0.5` has no port", "\"10.0.0.5:2223\""),
    ("[media]\nrtpengine = [\"10.0.0.5:2223\", ▶\"10.0.0.5:2223\"]\n", "error: `10.0.0.5:2223` is given twice", "weight = 2"),
    ("[media]\nrtpengine = ▶[{ address = \"10.0.0.5:2223\", weight = 0 }]\n", "error: every RTPEngine has weight 0", "weight of 1"),
    ("[media]\nrtpengine = ▶{ weight = 2 }\n", "error: `address` is missing from `media.rtpengine[0]`", "address = \"10.0.0.5:2223\""),
    ("[media]\nrtpengine = \"10.0.0.5:2223\"\nretransmit = ▶\"1s\"\n", "error: nothing is ever sent again", "well within"),
    ("[media]\nrtpengine = \"10.0.0.5:2223\"\npolicy = { profile = ▶\"sdes\" }\n", "error: `media.policy.profile` cannot be `sdes`", "one of webrtc, rtp, srtp, auto"),
    ("[domain.\"a.example\"]\nusers = [{ name = \"alice\", password = \"correct horse\", media = ▶\"srpt\" }]\n", "error: `domain.a.example.users[0].media` cannot be `srpt`", "did you mean \"srtp\"?"),
    ("[domain.\"a.example\"]\nusers = [{ name = \"alice\", password = \"correct horse\", media = { ▶profil = \"srtp\" } }]\n", "error: unknown key", "did you mean `profile`?"),
    ("[media.policy]\ncodecs.allow = [\"PCMU\", ▶\"G7.22\"]\n[media]\nrtpengine = \"10.0.0.5:2223\"\n", "error: `media.policy.codecs.allow[1]` cannot be `G7.22`", "did you mean \"G722\"?"),
    ("[listen.a]\nudp = \"127.0.0.1:5060\"\nmedia.codecs = { allow = [\"PCMA\", \"opus\"], deny = ▶\"opus\" }\n", "error: \"opus\" is both allowed and denied", "one of the two"),
    ("[listen.a]\nudp = \"127.0.0.1:5060\"\nmedia.codecs = { allow = \"PCMA\", order = [\"PCMA\", ▶\"opus\"] }\n", "error: \"opus\" is offered to nobody", "or allow it"),
    ("[listen.a]\nudp = \"127.0.0.1:5060\"\nmedia.transcode = ▶\"VP8\"\n", "error: RTPEngine cannot make \"VP8\"", "\"PCMA\", \"PCMU\""),
    ("[listen.a]\nudp = \"127.0.0.1:5060\"\nmedia = { transcode = ▶\"PCMU\", codecs.deny = \"PCMU\" }\n", "error: \"PCMU\" is transcoded into, but not allowed", "or allow it"),
    ("[listen.a]\nudp = \"127.0.0.1:5060\"\nmedia.ptime = ▶5\n", "error: `listen.a.media.ptime` is too small: 5", "at least 10"),
    ("[listen.a]\nudp = \"127.0.0.1:5060\"\nmedia.dtmf = ▶\"inband\"\n", "error: `listen.a.media.dtmf` cannot be `inband`", "auto, rfc4733, info"),
    ("[listen.a]\nudp = \"127.0.0.1:5060\"\nmedia.address_family = ▶\"ipv6\"\n", "error: `listen.a.media.address_family` cannot be `ipv6`", "inet6"),
    ("[listen.a]\nudp = \"127.0.0.1:5060\"\nmedia.interface = ▶\"pub/203.0.113.7\"\n", "error: `pub/203.0.113.7` cannot be the name of an interface", "before the `/`"),
    ("[listen.a]\nudp = \"127.0.0.1:5060\"\nmedia.interface = ▶\"pub\"\n[listen.b]\nudp = \"127.0.0.1:5062\"\n", "error: the legs of [listen.b] have no interface", "[listen.b.media]"),
    ("[listen.a]\nwss = \"127.0.0.1:443\"\ncertificate = { chain = \"good.pem\", key = \"good.key\" }\nmedia = ▶\"srtp\"\n", "error: browsers come in here, and none speaks \"srtp\"", "\"webrtc\""),
    ("[listen.a]\nudp = \"127.0.0.1:5060\"\nhide_topology = true\nmedia.anchor = ▶\"never\"\n", "warning: [listen.a] hides the topology, but an SDP", "\"bridging\""),
    ("[listen.a]\nudp = \"127.0.0.1:5060\"\nmedia = { anchor = \"never\", ▶record = true }\n", "warning: with `anchor = \"never\"` RTPEngine never hears of `record`", "\"bridging\""),
    ("[media]\n[listen.a]\nudp = \"127.0.0.1:5060\"\n▶media = \"srtp\"\n", "warning: a media policy, but no RTPEngine", "add [media]"),
    ("[media]\n[listen.a]\n▶ws = \"127.0.0.1:80\"\n", "warning: browsers come in here, but no RTPEngine", "add [media]"),
    ("[limits]\nconnections = ▶70000\n", "error: 70000 connections do not fit into 65536", "node.open_files = 71024"),
    ("[limits]\nconnections = 2000\n[node]\nopen_files = ▶\"1024\"\n", "error: `node.open_files` must be a number", "open_files = 10"),
    ("[limits]\noutbox = ▶\"16KiB\"\n", "error: a message that may be read does not fit", "at least `message_size`"),
    ("[limits]\nburst = ▶10\n", "error: `burst` is less", "messages_per_second"),
    ("[limits]\n▶idle_timeout = \"30s\"\nmessage_timeout = \"2m\"\n", "error: a connection is closed as idle while", "61m"),
    ("[limits]\nidle_timeout = ▶\"10m\"\n", "warning: a phone that sends no keepalive is cut off", "registrar.max_expires"),
    ("[timers]\nt1 = ▶\"5s\"\n", "error: `t1` is longer than `t2`", "\"500ms\" and \"4s\""),
    ("[timers]\ntimer_c = ▶\"60s\"\n", "warning: timer C must be more than three minutes", "185s"),
    // Peers.
    ("[peer.pbx]\naddresses = ▶[]\n", "error: `peer.pbx` has no addresses", "198.51.100.0/24"),
    ("[peer.▶pbx]\ncalls = 3\n", "error: `addresses` is missing from `peer.pbx`", "addresses = "),
    ("[peer.pbx]\naddresses = ▶\"0.0.0.0/0\"\n", "error: `0.0.0.0/0` would let the whole world call without a password", "networks of this peer"),
    ("[peer.pbx]\naddresses = ▶\"198.51.100.7/24\"\n", "error: `198.51.100.7/24` is an address inside a network", "\"198.51.100.0/24\""),
    ("[peer.pbx]\naddresses = [\"192.0.2.1\", ▶\"192.0.2.1/32\"]\n", "error: `192.0.2.1/32` is given twice", "remove one"),
    ("[peer.a]\naddresses = [\"192.0.2.0/24\", \"198.51.100.0/24\"]\n[peer.b]\naddresses = [\"192.0.2.0/25\", ▶\"198.51.100.0/24\"]\n", "error: `198.51.100.0/24` is the network of `peer.a` already", "by `listener`"),
    ("[peer.pbx]\naddresses = \"192.0.2.1\"\nlistener = ▶\"bas\"\n", "error: there is no [listen.bas]", "did you mean `base`?"),
    ("[listen.core]\nudp = \"127.0.0.1:5060\"\ntrust = \"10.0.0.0/8\"\n[peer.pbx]\naddresses = \"192.0.2.1\"\nlistener = ▶\"core\"\n", "error: `listen.core` faces the core", "without `trust`"),
    ("[listen.core]\nudp = \"127.0.0.1:5060\"\ntrust = \"10.0.0.0/8\"\n[peer.▶pbx]\naddresses = \"192.0.2.1\"\n", "error: no listener faces devices, where `peer.pbx` could come in", "[listen.public]"),
    ("[peer.pbx]\naddresses = \"192.0.2.1\"\ntransport = [\"udp\", ▶\"tcp\"]\n", "error: no socket speaks `tcp` where this peer is expected", "tcp = \"0.0.0.0:5060\""),
    ("[peer.pbx]\naddresses = \"192.0.2.1\"\ntransport = ▶\"tpc\"\n", "error: `peer.pbx.transport[0]` cannot be `tpc`", "did you mean \"tcp\"?"),
    ("[peer.pbx]\naddresses = \"192.0.2.1\"\n▶call = 5\n", "error: unknown key `peer.pbx.call`", "did you mean `calls`?"),
    ("[peer.▶pbx]\naddresses = \"192.0.2.1\"\n[[route]]\nfrom = \"devices\"\nto = \"reject 403\"\n", "warning: no route takes what comes from the peer `pbx`", "from = \"peer:pbx\""),
    ("[peer.pbx]\naddresses = \"192.0.2.1\"\n[[route]]\nfrom = ▶\"peer:pbs\"\nto = \"reject 403\"\n[[route]]\nfrom = \"peer:pbx\"\nto = \"reject 403\"\n", "error: there is no [peer.pbs]", "did you mean `pbx`?"),
    ("[group.out]\nmembers = \"sip:192.0.2.1\"\nlistener = ▶\"bas\"\n[listen.inside]\nudp = \"127.0.0.1:5998\"\ntrust = \"10.0.0.0/8\"\n[listen.base]\nudp = \"127.0.0.1:5999\"\n[[route]]\nfrom = \"devices\"\nmethod = \"INVITE\"\nto = \"group:out\"\n", "error: there is no [listen.bas]", "did you mean `base`?"),
    ("[group.out]\nmembers = \"sip:192.0.2.1\"\nlistener = \"base\"\n[listen.base]\nudp = \"127.0.0.1:5999\"\n[[route]]\nfrom = ▶\"group:out\"\nto = \"reject 403\"\n", "error: the members of `out` are outside", "\"peer:NAME\""),
    // Groups and routes.
    ("[group.▶spare]\nmembers = \"sip:10.0.0.1\"\n", "warning: no route uses the group `spare`", "group:spare"),
    ("[group.core]\nmembers = \"sip:10.0.0.1\"\n[[route]] # nobody is in its trust\nfrom = \"devices\"\nto = ▶\"group:core\"\n", "error: no listener faces the group `core`", "trust = [\"10.0.0.1/32\"]"),
    ("[group.core]\nmembers = \"sip:core.example.net\"\n[[route]] # nobody is in its trust\nfrom = ▶\"group:core\"\nto = \"reject 403\"\n", "error: no listener faces the group `core`", "[listen.core]"),
    ("[group.▶core]\n[[route]]\nfrom = \"devices\"\nto = \"group:core\"\n", "error: `members` is missing from `group.core`", "members = "),
    ("[media]\nrtpengine = \"127.0.0.1:2223\"\nsilent_after = ▶\"2s\"\n", "error: a call counts as dead after a pause that every phone makes", "\"30s\""),
    ("[media]\nrtpengine = \"127.0.0.1:2223\"\nsilent = ▶\"end\"\n", "error: no call is ever found silent", "silent_after = \"30s\""),
    ("[media]\nsilent_after = ▶\"30s\"\n", "error: without an RTPEngine nobody knows of packets", "an `rtpengine`"),
    ("[timers]\ndevice_gone = ▶\"5s\"\n", "error: calls end before a page that reloads", "\"60s\""),
    ("[group.▶media]\nmembers = \"sip:10.0.0.1\"\n[[route]]\nfrom = \"devices\"\nto = \"group:media\"\n", "error: `causeway ctl drain media …` is about the RTPEngines", "[group.media-servers]"),
    ("[group.core]\nmembers = ▶[]\n[[route]]\nfrom = \"devices\"\nto = \"group:core\"\n", "error: `group.core` has no members", "sip:10.33.69.152"),
    ("[group.core]\nmembers = [\"sip:10.0.0.1\", ▶\"10.0.0.2\"]\n[[route]]\nfrom = \"devices\"\nto = \"group:core\"\n", "error: `10.0.0.2` is not a SIP URI", "\"sip:10.0.0.2\""),
    ("[group.core]\nmembers = [\"sip:10.0.0.1\", ▶\"sip:10.0.0.1\"]\n[[route]]\nfrom = \"devices\"\nto = \"group:core\"\n", "error: `sip:10.0.0.1` is given twice", "remove one"),
    ("[group.core]\nmembers = ▶\"sip:2001:db8::1:5060\"\n[[route]]\nfrom = \"devices\"\nto = \"group:core\"\n", "error: `2001:db8::1:5060` is an IPv6 address without brackets", "\"sip:[2001:db8::1]:5060\""),
    ("[group.core]\nmembers = ▶\"sip:10.0.0.1;transport=sctp\"\n[[route]]\nfrom = \"devices\"\nto = \"group:core\"\n", "error: `sctp` is not a transport", "udp, tcp, tls"),
    ("[group.core]\nmembers = ▶\"sips:10.0.0.1\"\n[[route]]\nfrom = \"devices\"\nto = \"group:core\"\n", "error: `sips:`: servers are spoken to over UDP and TCP only", "write `sip:`"),
    ("[group.core]\nmembers = \"sip:10.0.0.1\"\ntransport = ▶\"tpc\"\n[[route]]\nfrom = \"devices\"\nto = \"group:core\"\n", "error: `group.core.transport` cannot be `tpc`", "did you mean \"tcp\"?"),
    ("[group.core]\nmembers = \"sip:10.0.0.1\"\n▶weight = 5\n[[route]]\nfrom = \"devices\"\nto = \"group:core\"\n", "error: unknown key `group.core.weight`", "members"),
    ("[group.core]\nmembers = \"sip:10.0.0.1\"\nprobe = ▶\"5s\"\n[[route]]\nfrom = \"devices\"\nto = \"group:core\"\n", "error: `group.core.probe` must be a table", "probe = { interval"),
    ("[group.core]\nmembers = \"sip:10.0.0.1\"\nprobe = { fall = ▶0 }\n[[route]]\nfrom = \"devices\"\nto = \"group:core\"\n", "error: `group.core.probe.fall` is too small", "at least 1"),
    ("[group.core]\nmembers = ▶\"sip:10.0.0.1;transport=wss\"\n[[route]]\nfrom = \"devices\"\nto = \"group:core\"\n", "error: `wss`: servers are spoken to over UDP and TCP only", "write `sip:`"),
    ("[group.core]\nmembers = ▶\"sip:10.0.0.1\"\ntransport = \"tls\"\n[[route]]\nfrom = \"devices\"\nto = \"group:core\"\n", "error: `tls`: servers are spoken to over UDP and TCP only", "write `sip:`"),
    ("[group.core]\nmembers = { uri = \"sip:10.0.0.1\", weight = ▶0 }\n[[route]]\nfrom = \"devices\"\nto = \"group:core\"\n", "error: `group.core.members[0].weight` is too small: 0", "at least 1"),
    ("[group.core]\nmembers = [\"sip:10.0.0.1\", { uri = \"sip:10.0.0.2\", ▶prio = 2 }]\n[[route]]\nfrom = \"devices\"\nto = \"group:core\"\n", "error: unknown key `group.core.members[1].prio`", "did you mean `priority`?"),
    ("[group.core]\nmembers = [{ uri = \"sip:10.0.0.1\" }, ▶{ uri = \"sip:10.0.0.1\", weight = 2 }]\n[[route]]\nfrom = \"devices\"\nto = \"group:core\"\n", "error: `sip:10.0.0.1` is given twice", "remove one"),
    ("[group.core]\nmembers = [▶{ weight = 2 }]\n[[route]]\nfrom = \"devices\"\nto = \"group:core\"\n", "error: `uri` is missing from `group.core.members[0]`", "sip:10.33.69.152"),
    ("[group.core]\nmembers = ▶{ uri = \"sip:10.0.0.1\", drain = true }\n[[route]]\nfrom = \"devices\"\nto = \"group:core\"\n", "warning: every member of `group.core` is being drained", "500"),
    ("[group.core]\nmembers = \"sip:10.0.0.1\"\nalgorithm = ▶\"round-robin\"\n[[route]]\nfrom = \"devices\"\nto = \"group:core\"\n", "error: `group.core.algorithm` cannot be `round-robin`", "did you mean \"round robin\"?"),
    ("[group.core]\nmembers = \"sip:10.0.0.1\"\nalgorithm = ▶\"round robin\"\n[[route]]\nfrom = \"devices\"\nto = \"group:core\"\n", "error: \"round robin\" sends the answer to a challenge to another registrar", "the route at line 6 sends REGISTER here: take \"rendezvous\""),
    ("[group.core]\nmembers = \"sip:10.0.0.1\"\nalgorithm = ▶\"least calls\"\n[[route]]\nfrom = \"devices\"\nto = \"group:core\"\n", "error: \"least calls\" sends the answer to a challenge", "give REGISTER a route of its own"),
    ("[group.core]\nmembers = \"sip:10.0.0.1\"\nfail_over = [503, ▶407]\n[[route]]\nfrom = \"devices\"\nto = \"group:core\"\n", "error: 407 is the caller's to answer", "leave it out"),
    ("[group.core]\nmembers = \"sip:10.0.0.1\"\nfail_over = [▶603]\n[[route]]\nfrom = \"devices\"\nto = \"group:core\"\n", "error: 603 is no answer that another member could mend", "400 to 599"),
    ("[group.core]\nmembers = \"sip:10.0.0.1\"\nfail_over = [408, ▶\"6xx\"]\n[[route]]\nfrom = \"devices\"\nto = \"group:core\"\n", "error: `6xx` is no class that another member could mend", "\"5xx\""),
    ("[group.core]\nmembers = \"sip:10.0.0.1\"\nfail_over = ▶true\n[[route]]\nfrom = \"devices\"\nto = \"group:core\"\n", "error: `group.core.fail_over[0]` must be a status or a class", "fail_over = [503]"),
    ("[group.core]\nmembers = \"sip:10.0.0.1\"\nredirects = ▶\"folow\"\n[[route]]\nfrom = \"devices\"\nto = \"group:core\"\n", "error: `group.core.redirects` cannot be `folow`", "did you mean \"follow\"?"),
    ("[dns]\nservers = ▶\"ns.example.net\"\n", "error: `ns.example.net` has no port", ""),
    ("[dns]\nservers = [\"127.0.0.1:53\", ▶\"127.0.0.1:53\"]\n", "error: `127.0.0.1:53` is given twice", "remove one"),
    ("[dns]\nservers = ▶\"0.0.0.0:53\"\n", "error: nobody can be asked at `0.0.0.0:53`", "127.0.0.1:53"),
    ("[dns]\nmin_ttl = ▶\"2h\"\n", "error: `dns.min_ttl` is longer than `dns.max_ttl`", "the least first"),
    ("[dns]\nmax_ttl = ▶\"2s\"\n", "error: `dns.min_ttl` is longer than `dns.max_ttl`", "the least first"),
    ("[dns]\ntimeout = ▶\"10ms\"\n", "error: `dns.timeout` is too small", "at least \"100ms\""),
    ("[group.registrars]\nmembers = \"sip:10.0.0.1\"\n[[route]]\nfrom = \"devices\"\nmethod = \"REGISTER\"\nto = \"group:registrars\"\n[[route]]\nfrom = \"devices\"\nto = ▶\"group:registars\"\n", "error: there is no [group.registars]", "did you mean `registrars`?"),
    ("[[route]]\nfrom = ▶\"listener:bas\"\nto = \"reject 403\"\n", "error: there is no [listen.bas]", "did you mean `base`?"),
    ("[[route]]\nfrom = ▶\"device\"\nto = \"reject 403\"\n", "error: nothing comes from `device`", "did you mean \"devices\"?"),
    ("[[route]]\nfrom = ▶\"edge\"\nto = \"reject 403\"\n", "error: nothing comes from `edge`", "did you mean \"edges\"?"),
    ("[[route]]\nfrom = ▶\"edges\"\nto = \"reject 403\"\n", "error: no listener names an edge", "edges = [\"10.33.69.151\"]"),
    ("[[route]]\nfrom = \"devices\"\nto = ▶\"lokup\"\n", "error: nothing goes to `lokup`", "did you mean \"lookup\"?"),
    ("[[route]]\nfrom = ▶\"public\"\nto = \"reject 403\"\n", "error: nothing comes from `public`", "\"listener:public\""),
    ("[[route]]\nfrom = \"devices\"\nto = ▶\"devices\"\n", "error: nothing goes to `devices`", "found by their Path"),
    ("[listen.in]\nudp = \"127.0.0.1:5060\"\ntrust = \"10.0.0.0/8\"\n[listen.a]\nudp = \"127.0.0.1:5061\"\n[group.core]\nmembers = \"sip:10.0.0.1\"\n[[route]]\nfrom = \"devices\"\nto = ▶\"core\"\n", "error: nothing goes to `core`", "\"group:core\""),
    ("[group.core]\nmembers = [\"sip:10.0.0.1\", ▶\"sip:192.0.2.1\"]\n[[route]]\nfrom = \"devices\"\nto = \"group:core\"\n", "error: no listener trusts `192.0.2.1`", "\"192.0.2.1/32\" to `trust`"),
    ("[group.core]\nmembers = [\"sip:10.0.0.1\", ▶\"sip:127.0.0.1:5998\"]\n[[route]]\nfrom = \"devices\"\nto = \"group:core\"\n", "error: `127.0.0.1:5998` is this node itself", "the other server"),
    ("[listen.a]\nudp = \"127.0.0.1:5060\"\n[listen.b]\nudp = ▶\"127.0.0.1:5060\"\ntrust = \"10.0.0.0/8\"\n", "error: `127.0.0.1:5060` is already taken by `listen.a.udp[0]`", "`core = [NETWORKS]` in [listen.a]"),
    ("[listen.a]\nudp = \"127.0.0.1:5060\"\ntrust = \"10.0.0.0/8\"\n[group.core]\nmembers = \"sip:10.0.0.1\"\n[[route]]\nfrom = ▶\"devices\"\nto = \"group:core\"\n", "warning: no listener faces devices", "without `trust`"),
    ("[[route]]\nfrom = \"devices\"\nto = ▶\"lookup\"\n", "error: there is no domain whose users", "add [domain."),
    ("[[route]]\nfrom = \"devices\"\nto = ▶\"reject 200\"\n", "error: `reject 200` has no status that refuses", "reject 403"),
    ("▶[[route]]\nfrom = \"devices\"\n", "error: `to` is missing from `route[0]`", "to = \"lookup\""),
    ("[[route]]\nfrom = \"devices\"\nregex = ▶'^(49'\nto = \"reject 404\"\n", "error: `^(49` is not a regular expression", "unclosed group"),
    ("[[route]]\nfrom = \"devices\"\nprefix = \"49\"\n▶regex = '^49'\nto = \"reject 404\"\n", "error: `prefix` and `regex` both say", "keep one"),
    ("[[route]]\nfrom = \"devices\"\nmethod = [\"INVITE\", ▶\"register\"]\nto = \"reject 404\"\n", "error: `register` never comes", "did you mean \"REGISTER\"?"),
    ("[[route]]\nfrom = \"devices\"\nmethod = ▶\"INVTE\"\nto = \"reject 404\"\n", "warning: `INVTE` is no method that is known", "did you mean \"INVITE\"?"),
    ("[[route]]\nfrom = \"devices\"\ndomain = ▶\"alice@a.example\"\nto = \"reject 404\"\n", "error: `alice@a.example` is not a domain", "example.com"),
    ("[[route]]\nfrom = \"devices\"\nto = \"reject 403\"\n[[route]]\nfrom = ▶\"devices\"\nprefix = \"49\"\nto = \"reject 404\"\n", "warning: this rule is never reached", "the rule at line 2"),
];

/// The text without its mark, and line and column of the mark.
fn marked(text: &str) -> (String, Option<(usize, usize)>) {
    let Some((before, after)) = text.split_once('▶') else {
        return (text.to_owned(), None);
    };
    let line = before.lines().count().max(1) + usize::from(before.ends_with('\n'));
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    (format!("{before}{after}"), Some((line, column)))
}

fn told(diagnostic: &Diagnostic) -> String {
    let severity = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    format!("{severity}: {}", diagnostic.message)
}

#[test]
fn each_mistake_is_said_with_its_place_and_with_what_would_be_right() {
    let site = Site::new();
    let mut wrong = Vec::new();
    for (text, message, help) in MISTAKES {
        let (text, place) = marked(text);
        let found = site.found(&completed(&text));
        let mut list = found.iter();
        let (Some(only), None) = (list.next(), list.next()) else {
            wrong.push(format!("not exactly one mistake in:\n{text}\n{found}"));
            continue;
        };
        let at = only.position();
        let said = told(only).contains(message)
            && only.help.as_ref().is_some_and(|said| said.contains(help));
        let placed = match place {
            Some((line, column)) => {
                let line_and_column = format!("causeway.toml:{line}:{column}\n");
                at == place && found.to_string().contains(&line_and_column)
            }
            None => at.is_some_and(|_| !only.file.path.ends_with("causeway.toml")),
        };
        if !said || !placed {
            wrong.push(format!(
                "expected {message:?}, {help:?} at {place:?}, found at {at:?}:\n{found}"
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {} rows:\n{}",
        wrong.len(),
        MISTAKES.len(),
        wrong.join("\n\n")
    );
    assert!(MISTAKES.len() >= 65, "{}", MISTAKES.len());
}

#[test]
fn a_file_without_listener_or_without_anything_to_do_is_refused() {
    let site = Site::new();
    for (text, want) in [
        (
            "[domain.\"a.example\"]\nusers = [{ name = \"a\", password = \"correct horse\" }]\n",
            "there is no listener",
        ),
        (
            "[listen.a]\nudp = \"127.0.0.1:5060\"\n",
            "there is neither a domain nor a route",
        ),
    ] {
        let found = site.load(text).unwrap_err();
        assert_eq!(found.errors(), 1, "{found}");
        assert!(found.to_string().contains(want), "{found}");
    }
    let nothing = site.load("").unwrap_err();
    assert_eq!(nothing.errors(), 2, "{nothing}");
}

#[test]
fn ten_mistakes_of_one_file_are_reported_together_in_the_order_of_the_file() {
    let text = r#"[node]
worker = 2

[listen.public]
udp = "0.0.0.0:5060"
tls = "::1:5061"
advertise = "env:NOPE"

[domain."example.com"]
users = [
  { name = "alice", password = "correct horse" },
  { name = "alice", password = "correct horse" },
  { name = "bob" },
]

[registrar]
min_expires = 60

[media]
rtpengine = ["10.0.0.5"]

[group.core]
members = ["10.0.0.1"]

[[route]]
from = "device"
to = "group:cor"
"#;
    let found = Site::new().load(text).unwrap_err();
    let errors: Vec<(usize, &str)> = found
        .iter()
        .filter(|d| d.severity == Severity::Error)
        .map(|d| (d.position().unwrap().0, d.message.as_str()))
        .collect();
    let lines: Vec<usize> = errors.iter().map(|(line, _)| *line).collect();
    assert_eq!(lines, [2, 6, 7, 12, 13, 17, 20, 23, 26, 27], "{found}");
}

#[test]
fn a_socket_that_could_not_be_read_still_uses_its_certificate() {
    let pair = "certificate = { chain = \"good.pem\", key = \"good.key\" }";
    let site = Site::new();
    for (socket, warnings) in [
        ("udp = \"127.0.0.1:5060\"", 1),
        ("tls = \"127.0.0.1\"", 0),
        ("wss = \"127.0.0.1:99999\"", 0),
    ] {
        let found = site.found(&completed(&format!("[listen.a]\n{socket}\n{pair}\n")));
        assert_eq!(found.warnings(), warnings, "{found}");
    }
}

#[test]
fn a_line_that_is_no_toml_does_not_hide_the_mistakes_of_others() {
    let found = Site::new()
        .load("[node]\nid = \nworker = 2\n[log]\nlevel = \"loud\"\n")
        .unwrap_err();
    let lines: Vec<usize> = found
        .iter()
        .filter_map(|d| d.position())
        .map(|(line, _)| line)
        .collect();
    assert_eq!(lines, [2, 3, 5], "{found}");
}

#[test]
fn no_diagnostic_shows_a_password_or_a_hash() {
    let site = Site::new();
    let hash = "00112233445566778899aabbccddeeff";
    for text in [
        "[domain.\"a.example\"]\nusers = [{ name = \"a b\", password = \"hidden horse\" }]\n"
            .to_owned(),
        "[domain.\"a.example\"]\nusers = [{ name = \"alice\", passwort = \"hidden horse\" }]\n"
            .to_owned(),
        format!("[domain.\"a.example\"]\nusers = [{{ name = \"a b\", ha1 = \"{hash}\" }}]\n"),
        "[domain.\"a.example\"]\nusers_file = \"bad-users.toml\"\n".to_owned(),
    ] {
        let found = site.load(&completed(&text)).unwrap_err();
        let said = format!("{found} {}", found.render(true));
        assert!(
            !said.contains("hidden horse") && !said.contains(hash),
            "{found}"
        );
        assert!(said.contains("********"), "{found}");
    }
}

#[test]
fn a_file_with_passwords_that_others_can_read_is_warned_of() {
    let site = Site::new();
    let text = completed("");
    site.write("causeway.toml", 0o644, &text);
    let found = site.found(&text);
    assert_eq!((found.errors(), found.warnings()), (0, 1), "{found}");
    assert!(found.to_string().contains("chmod 600"), "{found}");
    site.write("causeway.toml", 0o600, &text);
    assert!(site.found(&text).is_empty());
}

#[test]
fn colour_is_for_terminals_and_control_characters_for_nobody() {
    let found = Site::new()
        .load("[log]\nlevel = \"\\u001b[31m\"\n")
        .unwrap_err();
    assert!(
        !found.render(false).contains('\u{1b}'),
        "{:?}",
        found.render(false)
    );
    assert!(found.render(true).contains('\u{1b}'));
}
