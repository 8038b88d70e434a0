//! What a link says about itself (contract §1).

use transport_core::{CloseCode, lane::MIN_RELIABLE_MESSAGE};

use super::{STEP_LIMIT, end_of, stream};
use crate::{
    case::{Ctx, Result},
    ensure,
};

cases! { "profile":
    says_what_it_is [ "1.1" ];
    two_paths_are_told_apart [ "1.1" ];
    holds_the_smallest_message [ "1.3" ];
    never_changes [ "1.2" ];
}

async fn says_what_it_is(ctx: &Ctx) -> Result<()> {
    let link = ctx.link().await?;
    for end in [&link.near, &link.far] {
        let profile = end.profile();
        ensure!(!profile.path.trim().is_empty(), "the path has no words for a person");
        ensure!(!profile.path.contains(char::is_control), "the path is not one line: {:?}", profile.path);
    }
    let (near, far) = (&link.near.profile().transport, &link.far.profile().transport);
    ensure!(near == far, "the ends disagree on the transport's name: {near} and {far}");
    let [near, far] = [&link.near, &link.far].map(|end| &end.profile().channel_binding);
    ensure!(near == far, "the ends disagree on what tells this path from others: {near:x} and {far:x}");
    Ok(())
}

async fn two_paths_are_told_apart(ctx: &Ctx) -> Result<()> {
    // Both alive at a time: only then somebody can join them.
    let (one, other) = (ctx.link().await?, ctx.link().await?);
    let [one, other] = [&one, &other].map(|link| &link.near.profile().channel_binding);
    // Empty: a path without keys of its own, which says so.
    ensure!(one.is_empty() || one != other, "two paths have the same channel binding: {one:x}");
    Ok(())
}

async fn holds_the_smallest_message(ctx: &Ctx) -> Result<()> {
    let link = ctx.link().await?;
    let profile = link.near.profile();
    let max = profile.reliable.max_message.get();
    ensure!(max >= MIN_RELIABLE_MESSAGE, "reliable.max_message is {max}, less than {MIN_RELIABLE_MESSAGE}");
    let in_flight = profile.in_flight.get();
    ensure!(in_flight >= MIN_RELIABLE_MESSAGE, "in_flight is {in_flight}, less than {MIN_RELIABLE_MESSAGE}");
    Ok(())
}

async fn never_changes(ctx: &Ctx) -> Result<()> {
    let link = ctx.link().await?;
    let before = [link.near.profile().clone(), link.far.profile().clone()];
    let unchanged = |when: &str| {
        for (end, before) in [&link.near, &link.far].into_iter().zip(&before) {
            let now = end.profile();
            ensure!(before == now, "the profile changed {when}: {before:?} became {now:?}");
        }
        Ok(())
    };
    stream(&*link.near, &*link.far, 0, &[100; 50]).await?;
    unchanged("under traffic")?;
    link.near.close(CloseCode::NORMAL, "");
    end_of(&*link.far, STEP_LIMIT).await?;
    unchanged("with the end")
}
