//! `node.roles`: what a node does, said or left to what the rest of the file makes of it; and where the two contradict.
use super::Config;
use super::check::Checks;
use super::value::words;

words! {
    /// What a node does.
    pub enum Role {
        /// Devices connect to it.
        Edge = "edge",
        /// It knows users and where they are.
        Registrar = "registrar",
    }
}

impl Config {
    /// The roles that are written, or those that the rest of the file makes of the node.
    pub fn roles(&self) -> Vec<Role> {
        if !self.node.roles.is_empty() {
            return self.node.roles.clone();
        }
        let faces_devices = self.listen.values().any(|listen| !listen.is_core());
        let derived = [
            (Role::Edge, faces_devices),
            (Role::Registrar, !self.domain.is_empty()),
        ];
        derived
            .into_iter()
            .filter_map(|(role, is)| is.then_some(role))
            .collect()
    }
}

/// What the roles and the rest of the file say of each other.
pub(super) fn check(config: &Config, checks: &mut Checks<'_>) {
    let wrote = |key: &str| checks.source.wrote(key);
    let written = wrote("node.roles");
    // A key that was written and could not be read has its own message.
    let core = |name: &String, listen: &super::Listen| {
        listen.is_core()
            || wrote(&format!("listen.{name}.trust"))
            || wrote(&format!("listen.{name}.edges"))
    };
    let device_side = config
        .listen
        .iter()
        .find(|(name, listen)| !core(name, listen))
        .map(|(name, _)| name);
    let has_domain = !config.domain.is_empty() || wrote("domain");
    let has_listener = !config.listen.is_empty() || wrote("listen");
    let roles = config.roles();
    let (edge, registrar) = (
        roles.contains(&Role::Edge),
        roles.contains(&Role::Registrar),
    );
    let mut found = Vec::new();
    if written && !config.node.roles.is_empty() {
        let at = "node.roles";
        if edge && device_side.is_none() && has_listener {
            let error = checks
                .source
                .error(at, "an edge needs a listener that faces devices");
            found.push(
                error.help("add [listen.public] without `trust` and `edges`, or take \"edge\" out"),
            );
        }
        if let Some(name) = device_side.filter(|_| !edge) {
            let message = format!("`listen.{name}` faces devices, but this node is no edge");
            let error = checks
                .source
                .error_at_key(&format!("listen.{name}"), message);
            found.push(error.help(
                "say with `trust` or `edges` who may speak to it, or add \"edge\" to `node.roles`",
            ));
        }
        if registrar && !has_domain {
            let error = checks
                .source
                .error(at, "a registrar needs a domain whose users register");
            found.push(
                error.help("add [domain.\"example.com\"] with users, or take \"registrar\" out"),
            );
        }
        if let Some(name) = config.domain.keys().next().filter(|_| !registrar) {
            let message = format!("`domain.{name}` has users here, but this node is no registrar");
            let error = checks
                .source
                .error_at_key(&format!("domain.{name}"), message);
            found.push(
                error.help("leave it to the registrars, or add \"registrar\" to `node.roles`"),
            );
        }
    }
    let edges = config
        .listen
        .iter()
        .find(|(name, listen)| !listen.edges.is_empty() || wrote(&format!("listen.{name}.edges")));
    if let Some((name, _)) = edges.filter(|_| !has_domain) {
        let error = checks.source.error_at_key(
            &format!("listen.{name}.edges"),
            "edges bring requests to a registrar, and this node is none",
        );
        found.push(error.help("add [domain.\"example.com\"] with users; what a registrar sends to this edge comes by `trust`"));
    }
    let is_reached = edges.is_some() || device_side.is_some();
    if written && registrar && has_domain && has_listener && !is_reached {
        let warning = checks.source.warning(
            "node.roles",
            "no edge brings the users of this registrar here",
        );
        found.push(warning.help(
            "add `edges = [\"10.33.69.151\"]`, the edge's address, to the listener that it reaches",
        ));
    }
    found.into_iter().for_each(|one| checks.push(one));
}
