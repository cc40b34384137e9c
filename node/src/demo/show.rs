//! Where the state is shown and keys come from: a terminal, or lines of JSON on standard output.

use std::future::pending;
use std::io::{self, IsTerminal};

use crossterm::event::{Event, EventStream, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use futures::StreamExt;
use ratatui::DefaultTerminal;
use serde::Serialize;

use super::state::{Phase, State};
use super::view;
use crate::failure::Failure;
use crate::offline::failed;
use crate::output::print;

/// What a key asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// The keys are about this node from now on.
    Choose(usize),
    /// … about the one before.
    ChoosePrevious,
    /// … about the one after.
    ChooseNext,
    /// Kill the node, or start it again.
    KillOrRevive,
    /// Have the node stand still, or go on.
    StopOrContinue,
    /// End the demo.
    Quit,
}

/// Where it is shown.
pub enum Show {
    /// The view; boxed, since it holds two screens full.
    Screen(Box<Screen>),
    /// One JSON object a second.
    Lines,
}

/// A terminal that is given back as it was, also on a panic.
pub struct Screen {
    terminal: DefaultTerminal,
    keys: EventStream,
}

#[derive(Serialize)]
struct Told<'a> {
    event: &'static str,
    #[serde(flatten)]
    state: &'a State,
}

impl Show {
    /// Takes the terminal, if there is one and lines are not asked for.
    pub fn open(lines: bool) -> Result<Self, Failure> {
        if lines || !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            return Ok(Self::Lines);
        }
        // From here on a panic gives it back before it is told.
        let terminal = ratatui::try_init().map_err(unusable)?;
        Ok(Self::Screen(Box::new(Screen { terminal, keys: EventStream::new() })))
    }

    /// Draws the state, where it is drawn.
    pub fn draw(&mut self, state: &State) -> Result<(), Failure> {
        match self {
            Self::Screen(screen) => {
                let drawn = screen.terminal.draw(|frame| view::draw(frame, state));
                drawn.map(drop).map_err(unusable)
            }
            Self::Lines => Ok(()),
        }
    }

    /// Tells the state of another second, where it is told.
    pub fn tell(&self, state: &State) -> Result<(), Failure> {
        match self {
            Self::Screen(_) => Ok(()),
            Self::Lines => {
                let event = if state.phase == Phase::Ended { "ended" } else { "second" };
                let line = serde_json::to_string(&Told { event, state }).map_err(failed)?;
                print(&format!("{line}\n"))
            }
        }
    }

    /// Gives the terminal back and tells how it ended.
    pub fn close(self, state: &State) -> Result<(), Failure> {
        match self {
            Self::Lines => self.tell(state),
            Self::Screen(screen) => {
                drop(screen);
                print(&format!("{}\n", state.summary()))
            }
        }
    }

    /// The next key that asks for something.
    pub async fn wish(&mut self) -> Wish {
        match self {
            Self::Screen(screen) => screen.wish().await,
            Self::Lines => pending().await,
        }
    }
}

impl Screen {
    async fn wish(&mut self) -> Wish {
        loop {
            match self.keys.next().await {
                Some(Ok(Event::Key(key))) if key.kind == KeyEventKind::Press => {
                    if let Some(wish) = wish(key) {
                        return wish;
                    }
                }
                Some(Ok(_)) => {}
                // The terminal is gone.
                Some(Err(_)) | None => return Wish::Quit,
            }
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

fn wish(key: KeyEvent) -> Option<Wish> {
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        // In a terminal that is taken, Ctrl-C is a key and no signal.
        return (key.code == KeyCode::Char('c')).then_some(Wish::Quit);
    }
    match key.code {
        KeyCode::Char('q') | KeyCode::Esc => Some(Wish::Quit),
        KeyCode::Char('k') => Some(Wish::KillOrRevive),
        KeyCode::Char('s') => Some(Wish::StopOrContinue),
        KeyCode::Up | KeyCode::Left => Some(Wish::ChoosePrevious),
        KeyCode::Down | KeyCode::Right => Some(Wish::ChooseNext),
        KeyCode::Char(digit) => {
            let number = digit.to_digit(10)?.checked_sub(1)?;
            usize::try_from(number).ok().map(Wish::Choose)
        }
        _ => None,
    }
}

fn unusable(error: io::Error) -> Failure {
    failed(format!("the terminal cannot be used: {error} (--json needs none)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_ask_for_what_the_view_says() {
        let plain = |code| wish(KeyEvent::new(code, KeyModifiers::NONE));
        assert_eq!(plain(KeyCode::Char('1')), Some(Wish::Choose(0)));
        assert_eq!(plain(KeyCode::Char('k')), Some(Wish::KillOrRevive));
        assert_eq!(plain(KeyCode::Char('s')), Some(Wish::StopOrContinue));
        assert_eq!(plain(KeyCode::Char('q')), Some(Wish::Quit));
        assert_eq!(plain(KeyCode::Char('0')), None);
        let control = |code| wish(KeyEvent::new(code, KeyModifiers::CONTROL));
        assert_eq!(control(KeyCode::Char('c')), Some(Wish::Quit));
        assert_eq!(control(KeyCode::Char('k')), None);
    }
}
