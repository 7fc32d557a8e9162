//! Which endpoints are asked for most, and which take longest: for the summary at the end.
//!
//! Space-Saving (Metwally, Agrawal and El Abbadi 2005) that makes room for many at a time, as
//! Anderson and others (2017) do, so that it costs the same for each exchange; merged as Agarwal
//! and others (2012) do.
//!
//! Invariants: there are never more than [`MOST`] endpoints in the table, however many names the
//! network makes up; until there were more, every figure is exact but for quantiles, which are within
//! 2%. After that an endpoint has its exchanges since it came into the table, and [`Endpoints::missed`]
//! bounds how many there may have been before; one with more exchanges than that is in the table, and
//! so is one of the [`SLOWEST`] by their longest exchange.

mod name;
mod times;

use hashbrown::HashMap;
use hashbrown::hash_map::EntryRef;

use super::Exchange;
pub use times::Times;

/// Most endpoints that are told apart: bounds what one who makes up paths can fill.
const MOST: usize = 1024;
/// How many of them stay where room is made.
const STAY: usize = MOST / 2;
/// How many others stay because one of their exchanges took so long.
const SLOWEST: usize = 64;

/// What is known of an endpoint, or of all.
#[derive(Clone, Default)]
pub struct Endpoint {
    /// Exchanges.
    pub exchanges: u64,
    /// Those of them that were answered with 4xx.
    pub client_errors: u64,
    /// Those of them that were answered with 5xx.
    pub server_errors: u64,
    /// How long they took, from the first byte of the request to the last of the response.
    pub times: Times,
    /// Most exchanges there may have been before it came into the table.
    before: u64,
}

impl Endpoint {
    fn add(&mut self, exchange: &Exchange) {
        let response = exchange.http.response.as_ref();
        let status = response.and_then(|response| response.head.status()).unwrap_or_default();
        self.exchanges += 1;
        self.client_errors += u64::from((400..500).contains(&status));
        self.server_errors += u64::from((500..600).contains(&status));
        if let Some(total) = exchange.http.timing.total_ns {
            self.times.add(total);
        }
    }

    fn merge(&mut self, other: &Self) {
        let Self { exchanges, client_errors, server_errors, times, before } = other;
        self.exchanges += exchanges;
        self.client_errors += client_errors;
        self.server_errors += server_errors;
        self.times.merge(times);
        self.before += before;
    }

    /// Most exchanges that it may have had.
    const fn at_most(&self) -> u64 {
        self.exchanges + self.before
    }
}

/// An endpoint by its name, which is as the network spelt it.
pub type Named<'a> = (&'a [u8], &'a Endpoint);

/// The endpoints of exchanges.
#[derive(Default)]
pub struct Endpoints {
    /// Those that are not in the table any more.
    gone: Endpoint,
    table: HashMap<Vec<u8>, Endpoint>,
    missed: u64,
    /// The name of the last one, whose room the next one takes.
    name: Vec<u8>,
}

impl Endpoints {
    /// Counts an exchange.
    pub fn add(&mut self, exchange: &Exchange) {
        name::write(exchange, &mut self.name);
        let endpoint = match self.table.entry_ref(self.name.as_slice()) {
            EntryRef::Occupied(entry) => entry.into_mut(),
            EntryRef::Vacant(entry) => {
                let new = Endpoint { before: self.missed, ..Endpoint::default() };
                entry.insert(new)
            }
        };
        endpoint.add(exchange);
        self.make_room();
    }

    /// Adds those that another engine had.
    pub fn merge(&mut self, other: &Self) {
        self.gone.merge(&other.gone);
        for (name, endpoint) in &mut self.table {
            let theirs = other.table.get(name);
            match theirs {
                Some(theirs) => endpoint.merge(theirs),
                None => endpoint.before += other.missed,
            }
        }
        for (name, theirs) in &other.table {
            let new = || Endpoint { before: theirs.before + self.missed, ..theirs.clone() };
            self.table.entry(name.clone()).or_insert_with(new);
        }
        self.missed += other.missed;
        self.make_room();
    }

    /// Lets those go that have neither many exchanges nor a long one, where there are too many.
    fn make_room(&mut self) {
        if self.table.len() <= MOST {
            return;
        }
        let bar = |figure: fn(&Endpoint) -> u64, stay: usize| {
            let mut figures: Vec<_> = self.table.values().map(figure).collect();
            let (_, bar, _) = figures.select_nth_unstable_by(stay, |a, b| b.cmp(a));
            *bar
        };
        let (most, longest) = (
            bar(Endpoint::at_most, STAY),
            bar(|it| it.times.longest_ns().unwrap_or_default(), SLOWEST),
        );
        let stays = |endpoint: &Endpoint| {
            endpoint.at_most() > most || endpoint.times.longest_ns() > Some(longest)
        };
        let gone = &mut self.gone;
        self.table.retain(|_, endpoint| {
            let stays = stays(endpoint);
            if !stays {
                gone.merge(endpoint);
            }
            stays
        });
        self.missed = self.missed.max(most);
    }

    /// All of them as one.
    #[must_use]
    pub fn all(&self) -> Endpoint {
        let mut all = self.gone.clone();
        self.table.values().for_each(|endpoint| all.merge(endpoint));
        all
    }

    /// How many endpoints are told apart.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether none is told apart, as where there was no exchange.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// How many exchanges an endpoint may have had that are not told here, because there were too
    /// many endpoints; 0 where nothing is missed.
    #[must_use]
    pub const fn missed(&self) -> u64 {
        self.missed
    }

    /// So many with the most exchanges.
    #[must_use]
    pub fn most_frequent(&self, count: usize) -> Vec<Named<'_>> {
        self.ranked(count, |endpoint| (endpoint.exchanges, 0))
    }

    /// So many that took longest: by the time that 95% of their exchanges took at most.
    #[must_use]
    pub fn slowest(&self, count: usize) -> Vec<Named<'_>> {
        let times = |it: &Endpoint| (it.times.percentile_ns(95), it.times.longest_ns());
        let mut slowest = self.ranked(count, times);
        slowest.retain(|(_, endpoint)| endpoint.times.longest_ns().is_some());
        slowest
    }

    /// Those with the greatest figures, which are the same whenever a capture is replayed.
    fn ranked<T: Ord>(&self, count: usize, figures: impl Fn(&Endpoint) -> T) -> Vec<Named<'_>> {
        let mut ranked: Vec<_> = self.table.iter().map(|it| (figures(it.1), it)).collect();
        ranked.sort_by(|(a, (name_a, _)), (b, (name_b, _))| b.cmp(a).then(name_a.cmp(name_b)));
        ranked.into_iter().take(count).map(|(_, (name, it))| (&**name, it)).collect()
    }
}

impl std::fmt::Debug for Endpoints {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoints").field("told_apart", &self.table.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
