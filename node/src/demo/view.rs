//! The view: the state, drawn. Nothing is decided here.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Paragraph, Row, Sparkline, Table};

use super::state::{Condition, NodeState, Phase, State};

/// One a node, in turn.
const COLOURS: [Color; 6] =
    [Color::Cyan, Color::Magenta, Color::Yellow, Color::Blue, Color::Green, Color::Red];

/// Draws all of it.
pub fn draw(frame: &mut Frame<'_>, state: &State) {
    let nodes = u16::try_from(state.nodes.len()).unwrap_or(u16::MAX);
    let rows = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(nodes.saturating_add(2)),
        Constraint::Length(4),
        Constraint::Fill(1),
        Constraint::Length(4),
        Constraint::Length(1),
    ]);
    let [title, nodes, shards, requests, writes, keys] = rows.areas(frame.area());
    frame.render_widget(heading(state), title);
    draw_nodes(frame, nodes, state);
    frame.render_widget(leaders(state), shards);
    draw_requests(frame, requests, state);
    frame.render_widget(promises(state), writes);
    frame.render_widget(Line::from(help(state)).dim(), keys);
}

fn heading(state: &State) -> Line<'static> {
    let (count, seconds) = (state.nodes.len(), state.seconds);
    let what = match state.phase {
        Phase::Starting => "becoming a cluster".into(),
        Phase::Working => format!("{}:{:02} at work", seconds / 60, seconds % 60),
        Phase::Checking => "checking what is left to check".into(),
        Phase::Ended => "over".into(),
    };
    Line::from(vec![
        " janua demo".bold(),
        format!("  {count} nodes on this machine, {what}").into(),
    ])
}

fn draw_nodes(frame: &mut Frame<'_>, area: Rect, state: &State) {
    let row = |(place, node): (usize, &NodeState)| {
        let pointer = if place == state.chosen { ">" } else { " " };
        let leads: Vec<_> = state.leads(place).map(|shard| shard.to_string()).collect();
        let row = Row::new([
            Span::raw(pointer).bold(),
            Span::styled(node.name.clone(), colour(place)),
            condition(node.condition),
            Span::raw(format!("http://{}", node.address)),
            Span::raw(format!("leads {}", leads.join(" "))),
        ]);
        if place == state.chosen { row.bold() } else { row }
    };
    let widths = [
        Constraint::Length(1),
        Constraint::Length(7),
        Constraint::Length(8),
        Constraint::Length(23),
        Constraint::Fill(1),
    ];
    let table = Table::new(state.nodes.iter().enumerate().map(row), widths);
    frame.render_widget(table.block(Block::bordered().title(" Nodes ")), area);
}

fn condition(condition: Condition) -> Span<'static> {
    match condition {
        Condition::Unready => "unready".yellow(),
        Condition::Serving => "serving".green(),
        Condition::Stopped => "stopped".yellow(),
        Condition::Killed => "killed".red(),
        Condition::Ended => "ended".red().bold(),
    }
}

/// Each shard over the number of its leader.
fn leaders(state: &State) -> Paragraph<'static> {
    let mut shards = vec![Span::raw("shard ")];
    let mut leaders = vec![Span::raw("leader")];
    for (shard, leader) in state.leaders.iter().enumerate() {
        shards.push(Span::raw(format!("{shard:>4}")));
        leaders.push(match leader {
            Some(place) => Span::styled(format!("{:>4}", place + 1), colour(*place)),
            None => Span::raw("   -").red(),
        });
    }
    let lines = vec![Line::from(shards), Line::from(leaders)];
    Paragraph::new(lines).block(Block::bordered().title(" Shards, and the node that leads each "))
}

fn draw_requests(frame: &mut Frame<'_>, area: Rect, state: &State) {
    let title = format!(" Requests answered a second: {} ", state.requests_per_second);
    let block = Block::bordered().title(title);
    let width = usize::from(block.inner(area).width);
    let skipped = state.history.len().saturating_sub(width);
    let seconds = state.history.iter().skip(skipped);
    frame.render_widget(Sparkline::default().data(seconds).green().block(block), area);
}

/// What was promised, and whether it was kept.
fn promises(state: &State) -> Paragraph<'_> {
    let counts = &state.counts;
    let lost = Span::raw(format!("lost {}", counts.lost)).bold();
    let lost = if counts.lost == 0 { lost.green() } else { lost.red().reversed() };
    let told = format!(
        "acknowledged {}   checked later at another node {}   ",
        counts.acknowledged, counts.checked
    );
    let below = match &counts.first_loss {
        Some(loss) => Line::from(format!("lost first: {loss}")).red(),
        None => Line::from(format!(
            "requests unanswered {}   nodes killed {}",
            counts.unanswered, state.kills
        )),
    };
    let lines = vec![Line::from(vec![told.into(), lost]), below];
    Paragraph::new(lines).block(Block::bordered().title(" Writes "))
}

fn help(state: &State) -> String {
    let count = state.nodes.len();
    format!(" 1-{count}, arrows: choose   k: kill / revive   s: stop / continue   q: quit")
}

fn colour(place: usize) -> Style {
    Style::new().fg(COLOURS[place % COLOURS.len()])
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;
    use crate::demo::tally::Counts;

    fn state() -> State {
        let node = |number: u16, condition| NodeState {
            name: format!("node-{number}"),
            address: ([127, 0, 0, 1], 40_000 + number).into(),
            condition,
        };
        let nodes = vec![
            node(1, Condition::Serving),
            node(2, Condition::Killed),
            node(3, Condition::Stopped),
        ];
        let mut state = State::new(nodes);
        state.phase = Phase::Working;
        state.seconds = 83;
        state.leaders = vec![Some(0), None, Some(2), Some(0)];
        state.kills = 4;
        state.chosen = 1;
        let counts = Counts { answered: 57, acknowledged: 20, checked: 18, ..Counts::default() };
        state.counted(counts);
        state
    }

    fn drawn(state: &State, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, state)).unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn the_view_shows_nodes_shards_leaders_requests_and_losses() {
        let view = drawn(&state(), 80, 24);
        for row in [
            " janua demo  3 nodes on this machine, 1:23 at work",
            "  node-1  serving  http://127.0.0.1:40001  leads 0 3",
            "> node-2  killed   http://127.0.0.1:40002  leads",
            "  node-3  stopped  http://127.0.0.1:40003  leads 2",
            "shard    0   1   2   3",
            "leader   1   -   3   1",
            " Requests answered a second: 57 ",
            "acknowledged 20   checked later at another node 18   lost 0",
            "requests unanswered 0   nodes killed 4",
            "1-3, arrows: choose   k: kill / revive   s: stop / continue   q: quit",
        ] {
            assert!(view.contains(row), "no {row:?} in\n{view}");
        }
    }

    #[test]
    fn a_loss_is_named() {
        let mut state = state();
        state.counts.lost = 2;
        state.counts.first_loss = Some("a revocation (a@example.com)".into());
        let view = drawn(&state, 80, 24);
        assert!(view.contains("lost 2") && view.contains("lost first: a revocation"), "{view}");
    }

    #[test]
    fn a_small_terminal_is_drawn_on_as_far_as_it_goes() {
        for (width, height) in [(1, 1), (20, 5), (300, 100)] {
            drawn(&state(), width, height);
        }
    }
}
