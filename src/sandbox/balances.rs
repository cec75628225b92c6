//! Who owns which profile, and how much of each asset is in it. One vault serves both APIs: money is money.

use std::collections::BTreeMap;

use super::money::Amount;
use super::records::Account;

/// Profiles with their customers, and balances.
#[derive(Default)]
pub(super) struct Balances {
    /// Profile id → customer id.
    owners: BTreeMap<String, String>,
    /// Customer id → the profile that is meant when none is named: the first one opened.
    defaults: BTreeMap<String, String>,
    balances: BTreeMap<Account, Amount>,
}

impl Balances {
    /// Gives a profile to a customer; the customer's first becomes its default.
    pub(super) fn open(&mut self, customer: &str, profile: &str) {
        self.owners.entry(profile.to_owned()).or_insert_with(|| customer.to_owned());
        self.defaults.entry(customer.to_owned()).or_insert_with(|| profile.to_owned());
    }

    pub(super) fn is_open(&self, profile: &str) -> bool {
        self.owners.contains_key(profile)
    }

    pub(super) fn owns(&self, customer: &str, profile: &str) -> bool {
        self.owners.get(profile).is_some_and(|owner| owner == customer)
    }

    pub(super) fn default_profile(&self, customer: &str) -> Option<&str> {
        self.defaults.get(customer).map(String::as_str)
    }

    pub(super) fn profiles<'vault>(&'vault self, customer: &'vault str) -> impl Iterator<Item = &'vault str> {
        self.owners.iter().filter(move |(_, owner)| *owner == customer).map(|(profile, _)| profile.as_str())
    }

    pub(super) fn balance(&self, pot: &Account) -> Amount {
        self.balances.get(pot).copied().unwrap_or(Amount::ZERO)
    }

    pub(super) fn balances(&self) -> impl Iterator<Item = (&Account, &Amount)> {
        self.balances.iter()
    }

    pub(super) fn credit(&mut self, pot: Account, amount: Amount) {
        let balance = self.balances.entry(pot).or_default();
        *balance = balance.plus(amount);
    }

    /// Takes the amount, or takes nothing and says what there is.
    pub(super) fn debit(&mut self, pot: &Account, amount: Amount) -> Result<(), Amount> {
        let available = self.balance(pot);
        let left = available.checked_sub(amount).ok_or(available)?;
        self.balances.insert(pot.clone(), left);
        Ok(())
    }
}
