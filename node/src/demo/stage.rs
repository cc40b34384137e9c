//! The demo while it runs: nodes, people and trouble, brought together once a frame.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::{Duration, Instant};

use janua_storage::secret::Secret;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::Demo;
use super::children::{Life, Node, Nodes};
use super::client::Client;
use super::lookout::{self, Seen};
use super::people::{self, World};
use super::show::{Show, Wish};
use super::state::{Condition, NodeState, Phase, State};
use super::strikes::{Strike, Strikes};
use crate::failure::Failure;
use crate::offline::failed;

/// Between two drawings.
const FRAME: Duration = Duration::from_millis(100);

/// How long nodes may take to become a cluster.
const START_WITHIN: Duration = Duration::from_secs(90);

/// How long nothing may be checked, at the end, before the rest counts as lost from sight.
const CHECK_WITHIN: Duration = Duration::from_secs(30);

/// At least so many people are at work, and at most; each has one request under way.
const PEOPLE: (usize, usize) = (8, 128);

/// Everything that runs.
pub struct Stage {
    state: State,
    nodes: Nodes,
    world: Arc<World>,
    seen: watch::Receiver<Seen>,
    // Ended, and so aborted, when dropped.
    tasks: JoinSet<Result<(), Failure>>,
    operator: Secret,
    people: usize,
    length: Option<Duration>,
    kill_every: Option<Duration>,
    strikes: Option<Strikes>,
    /// When the present phase began, or was last seen to get on.
    since: Instant,
}

impl Stage {
    /// Starts the nodes, and looks at them from then on.
    pub fn set(command: &Demo) -> Result<Self, Failure> {
        let mut nodes = Nodes::prepare(command.nodes.into())?;
        let bases = nodes.all().iter().map(|node| format!("http://{}", node.address));
        let world = Arc::new(World::new(Client::new(bases, command.rate)?));
        nodes.bring_back()?;
        let operator = nodes.operator_token.clone();
        let (sender, seen) = watch::channel(Seen::default());
        let mut tasks = JoinSet::new();
        let looking = lookout::look(world.clone(), operator.clone(), sender);
        tasks.spawn(async {
            looking.await;
            Ok(())
        });
        Ok(Self {
            state: State::new(nodes.all().iter().map(shown).collect()),
            nodes,
            world,
            seen,
            tasks,
            operator,
            people: usize::try_from(command.rate).unwrap_or(PEOPLE.1).clamp(PEOPLE.0, PEOPLE.1),
            length: command.length,
            kill_every: command.kill_every,
            strikes: None,
            since: Instant::now(),
        })
    }

    /// Runs until its user quits, or its time is up and everything has been checked.
    pub async fn play(&mut self, show: &mut Show) -> Result<(), Failure> {
        let (mut frame, mut second) = (interval(FRAME), interval(Duration::from_secs(1)));
        frame.set_missed_tick_behavior(MissedTickBehavior::Skip);
        second.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                wish = show.wish() => match wish {
                    Wish::Quit => return Ok(()),
                    wish => self.grant(wish)?,
                },
                _ = frame.tick() => {
                    self.goes_on()?;
                    show.draw(&self.state)?;
                }
                _ = second.tick() => {
                    self.count()?;
                    show.tell(&self.state)?;
                }
                Some(ended) = self.tasks.join_next() => return match ended {
                    Ok(worked) => worked,
                    // Nothing aborts a task before this has returned, so it has panicked.
                    Err(error) => resume_unwind(error.into_panic()),
                },
            }
        }
    }

    /// Ends the nodes, removes their folder, and gives what they came to.
    pub fn clear(mut self) -> Result<State, Failure> {
        self.state.counts = self.world.client.tally.counts();
        self.state.phase = Phase::Ended;
        self.tasks.abort_all();
        self.nodes.close()?;
        Ok(self.state)
    }

    fn grant(&mut self, wish: Wish) -> Result<(), Failure> {
        let (chosen, count) = (self.state.chosen, self.state.nodes.len());
        match wish {
            Wish::Choose(place) if place < count => self.state.chosen = place,
            Wish::ChoosePrevious => self.state.chosen = (chosen + count - 1) % count,
            Wish::ChooseNext => self.state.chosen = (chosen + 1) % count,
            Wish::KillOrRevive => match self.nodes.all()[chosen].life {
                Life::Runs | Life::Stopped => self.kill(chosen),
                Life::Killed | Life::Ended => self.nodes.start(chosen)?,
            },
            Wish::StopOrContinue => self.nodes.stop_or_continue(chosen)?,
            Wish::Choose(_) | Wish::Quit => {}
        }
        Ok(())
    }

    fn kill(&mut self, node: usize) {
        self.nodes.kill(node);
        self.state.kills += 1;
    }

    /// Looks at everything, and does what it is time for.
    fn goes_on(&mut self) -> Result<(), Failure> {
        self.nodes.reap();
        let whole = self.look();
        let now = Instant::now();
        match self.state.phase {
            Phase::Starting if whole => self.begin(now),
            Phase::Starting => self.is_starting(now)?,
            Phase::Working => {
                self.strike(now)?;
                if self.length.is_some_and(|length| now - self.since >= length) {
                    self.end_work(now)?;
                }
            }
            Phase::Checking => self.is_checking(now)?,
            Phase::Ended => {}
        }
        Ok(())
    }

    /// Takes over what was seen last; whether the cluster is whole.
    fn look(&mut self) -> bool {
        let client = &self.world.client;
        let nodes = self.nodes.all().iter().enumerate();
        let nodes = nodes.map(|(place, node)| match shown(node) {
            shown if shown.condition == Condition::Unready && client.is_ready(place) => {
                NodeState { condition: Condition::Serving, ..shown }
            }
            shown => shown,
        });
        self.state.nodes = nodes.collect();
        let seen = self.seen.borrow();
        self.state.leaders.clone_from(&seen.leaders);
        seen.whole && self.state.all_serve()
    }

    fn begin(&mut self, now: Instant) {
        self.tasks.spawn(people::work(self.world.clone(), self.operator.clone(), self.people));
        self.strikes = self.kill_every.map(|every| Strikes::new(every, now));
        self.state.phase = Phase::Working;
        self.since = now;
    }

    fn is_starting(&self, now: Instant) -> Result<(), Failure> {
        if let Some(node) = self.nodes.all().iter().find(|node| node.life == Life::Ended) {
            return Err(failed(format!("{} has ended: {}", node.name, node.last_words())));
        }
        if now - self.since > START_WITHIN {
            let said = self.nodes.all().iter().map(Node::last_words).collect::<Vec<_>>().join("; ");
            return Err(failed(format!(
                "the nodes are no cluster after {START_WITHIN:?}; they said last: {said}"
            )));
        }
        Ok(())
    }

    fn strike(&mut self, now: Instant) -> Result<(), Failure> {
        let Some(strikes) = &mut self.strikes else { return Ok(()) };
        let nodes = self.nodes.all();
        let gone = |node: &Node| matches!(node.life, Life::Killed | Life::Ended);
        let down = nodes.iter().position(gone);
        match strikes.due(now, nodes.len(), down, self.state.all_serve()) {
            Some(Strike::Kill(node)) => self.kill(node),
            Some(Strike::Revive(node)) => self.nodes.start(node)?,
            None => {}
        }
        Ok(())
    }

    fn end_work(&mut self, now: Instant) -> Result<(), Failure> {
        self.world.ends();
        self.state.seconds = (now - self.since).as_secs();
        self.state.phase = Phase::Checking;
        self.since = now;
        self.nodes.bring_back()
    }

    fn is_checking(&self, now: Instant) -> Result<(), Failure> {
        if now - self.since <= CHECK_WITHIN {
            return Ok(());
        }
        let counts = &self.state.counts;
        let left = counts.acknowledged.saturating_sub(counts.checked + counts.lost);
        Err(failed(format!("{left} acknowledged writes could not be checked")))
    }

    /// Takes the counts of another second.
    fn count(&mut self) -> Result<(), Failure> {
        let checked = self.state.counts.checked;
        self.state.counted(self.world.client.tally.counts());
        match self.state.phase {
            Phase::Working => self.state.seconds = self.since.elapsed().as_secs(),
            Phase::Checking => {
                if self.state.counts.checked > checked {
                    self.since = Instant::now();
                }
                self.nodes.bring_back()?;
            }
            Phase::Starting | Phase::Ended => {}
        }
        Ok(())
    }
}

/// A node as its process tells, without having been asked.
fn shown(node: &Node) -> NodeState {
    let condition = match node.life {
        Life::Runs => Condition::Unready,
        Life::Stopped => Condition::Stopped,
        Life::Killed => Condition::Killed,
        Life::Ended => Condition::Ended,
    };
    NodeState { name: node.name.clone(), address: node.address, condition }
}
