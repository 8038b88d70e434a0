//! The only relay dies and stays dead: its clients must not make a storm of tokens.
//!
//! `POOL_CLIENTS` says how many (20, `scripts/measure costs` has 1,000), `POOL_DEAD` for how many seconds (10).

use std::time::Duration;

use pool::{
    crowd::{Crowd, Rhythm},
    report::number,
    service::{Plan, Service},
};
use tokio::time::{Instant, sleep, sleep_until};

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_a_dead_relay_ask_for_few_tokens() {
    let (clients, seconds) = (number("POOL_CLIENTS").unwrap_or(20), number("POOL_DEAD").unwrap_or(10));
    let mut plan = Plan::default();
    plan.relays = 1;
    let mut service = Service::start(plan).await;
    // Few words: they are not what is measured.
    let rhythm = Rhythm { pause: Duration::from_secs(2), size: 100 };
    let crowd = Crowd::gather(&service.url(), clients / 2, rhythm).await;
    let before = tokens(&service).await;
    service.relays[0].kill();
    let died = Instant::now();
    sleep_until(died + Duration::from_secs(5)).await;
    let after_five = tokens(&service).await;
    let mut worst = 0.0_f64;
    let mut last = after_five;
    while died.elapsed() < Duration::from_secs(5 + seconds) {
        let began = Instant::now();
        sleep(Duration::from_secs(1)).await;
        let now = tokens(&service).await;
        worst = worst.max((now - last) / began.elapsed().as_secs_f64());
        last = now;
    }
    let later = (last - after_five) / (died.elapsed().as_secs_f64() - 5.0);
    println!(
        "| clients | tokens in the first 5 s | tokens a second after that | the most in one second |\n|---|---|---|---|"
    );
    println!("| {clients} | {:.0} | {later:.1} | {worst:.1} |", after_five - before);
    service.relays[0].restart().await;
    let again = Instant::now();
    crowd.effect().await;
    println!("\nAll are back {:.1?} after the relay is there again.", again.elapsed());
    let verdict = crowd.end().await;
    assert!(verdict.is_whole() && verdict.delivered > 0, "{verdict:?}");
    // One when a pool would have noticed, and one for each life of a token, which is used for 50 s; one more where an answer came too
    // late. Attempts are some fifty.
    assert!(later * seconds as f64 <= (3 + seconds / 50) as f64 * clients as f64, "{later} tokens a second");
}

/// How many were asked for, granted or not.
async fn tokens(service: &Service) -> f64 {
    let mut sum = 0.0;
    for plane in &service.planes {
        sum += plane.metric("beach_fallback_token_requests_total").await;
    }
    sum
}
