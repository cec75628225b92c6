//! Which customer owns which profile, and the balance of each account. Both APIs spend from the same balances.

use std::collections::BTreeMap;

use rust_decimal::Decimal;

/// One asset in one profile.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Account {
    pub(super) profile: String,
    pub(super) asset: String,
}

impl Account {
    pub(super) fn new(profile: &str, asset: &str) -> Self {
        Self { profile: profile.to_owned(), asset: asset.to_owned() }
    }
}

#[derive(Default)]
pub(super) struct Balances {
    /// Profile id → customer id.
    owners: BTreeMap<String, String>,
    /// Customer id → the profile used when a request names none: the first one opened.
    default_profiles: BTreeMap<String, String>,
    accounts: BTreeMap<Account, Decimal>,
}

impl Balances {
    /// Gives a profile to a customer. The first one becomes the customer's default.
    pub(super) fn open(&mut self, customer: &str, profile: &str) {
        self.owners.entry(profile.to_owned()).or_insert_with(|| customer.to_owned());
        self.default_profiles.entry(customer.to_owned()).or_insert_with(|| profile.to_owned());
    }

    pub(super) fn is_open(&self, profile: &str) -> bool {
        self.owners.contains_key(profile)
    }

    pub(super) fn owns(&self, customer: &str, profile: &str) -> bool {
        self.owners.get(profile).is_some_and(|owner| owner == customer)
    }

    pub(super) fn default_profile(&self, customer: &str) -> Option<&str> {
        self.default_profiles.get(customer).map(String::as_str)
    }

    pub(super) fn profiles<'a>(&'a self, customer: &'a str) -> impl Iterator<Item = &'a str> {
        self.owners.iter().filter(move |(_, owner)| *owner == customer).map(|(profile, _)| profile.as_str())
    }

    pub(super) fn balance(&self, account: &Account) -> Decimal {
        self.accounts.get(account).copied().unwrap_or_default()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (&Account, Decimal)> {
        self.accounts.iter().map(|(account, balance)| (account, *balance))
    }

    pub(super) fn credit(&mut self, account: Account, amount: Decimal) {
        let balance = self.accounts.entry(account).or_default();
        *balance = balance.saturating_add(amount);
    }

    /// Subtracts the amount. An account with less is left as it is, and its balance is the error.
    pub(super) fn debit(&mut self, account: &Account, amount: Decimal) -> Result<(), Decimal> {
        let available = self.balance(account);
        if available < amount {
            return Err(available);
        }
        self.accounts.insert(account.clone(), available - amount);
        Ok(())
    }
}
