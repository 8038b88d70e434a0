//! What a browser tells of the path it chose.

use js_sys::{Object, Reflect};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::RtcStatsReport;

/// Says whether the chosen pair of candidates leads through a TURN server; `None` where there is none.
pub(super) fn is_relayed(report: &RtcStatsReport) -> Option<bool> {
    let entries = || report.values().into_iter().flatten();
    let text = |entry: &JsValue, name: &str| Reflect::get(entry, &name.into()).ok()?.as_string();
    let is_a = |entry: &JsValue, kind: &str| text(entry, "type").as_deref() == Some(kind);
    let is_set =
        |entry: &JsValue, name: &str| Reflect::get(entry, &name.into()).is_ok_and(|set| set.is_truthy());
    let by_id = |id: String| report.get(&id).map(Object::unchecked_into::<JsValue>);
    // Where the transport does not name its pair, the pair says that it was chosen.
    let named = entries().find_map(|entry| {
        if is_a(&entry, "transport") { text(&entry, "selectedCandidatePairId").and_then(by_id) } else { None }
    });
    let pair = named.or_else(|| {
        entries().find(|entry| {
            is_a(entry, "candidate-pair") && (is_set(entry, "selected") || is_set(entry, "nominated"))
        })
    })?;
    let kind = |end: &str| text(&by_id(text(&pair, end)?)?, "candidateType");
    Some(
        [kind("localCandidateId"), kind("remoteCandidateId")]
            .iter()
            .any(|kind| kind.as_deref() == Some("relay")),
    )
}
