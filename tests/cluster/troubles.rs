//! A short run of seeded trouble; `tests/trouble` is the long one.

use janua_tests::trouble::people_are_told_one_truth;

#[tokio::test]
async fn people_are_told_one_truth_while_a_cluster_is_in_trouble() {
    for seed in 1..=2 {
        people_are_told_one_truth(seed).await;
    }
}
