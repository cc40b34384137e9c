//! The hosted pages: in a real browser, and as a browser without scripts posts their forms.

mod accessibility;
mod contested;
mod elsewhere;
mod forms;
mod journeys;
mod mail;
mod passkeys;
mod policy;
mod providers;
mod second_factor;
