//! A short run of seeded trouble; `tests/trouble` is the long one.

use janua_tests::trouble::{Trouble, people_are_told_one_truth, people_are_told_one_truth_through};

#[tokio::test]
async fn people_are_told_one_truth_while_a_cluster_is_in_trouble() {
    for seed in 1..=2 {
        people_are_told_one_truth(seed).await;
    }
}

#[tokio::test]
async fn bad_disks_clocks_and_changes_break_no_promise() {
    people_are_told_one_truth_through(9, async |_, cluster, strike| {
        let leader = cluster.leader_of_the_default_tenant().await;
        match strike {
            0 => Some(Trouble::Slow(leader, 100)),
            1 => Some(Trouble::Full(leader)),
            2 => Some(Trouble::Ahead(leader, 20_000)),
            3 => Some(Trouble::Grown(leader)),
            _ => None,
        }
    })
    .await;
}
