use super::*;
use crate::site_tests::Site;
use counterfoil_toolbox::config::AccessRole::{Operator, Viewer};

fn deed(action: &str, subject: Option<(&str, &str)>) -> Deed {
    Deed {
        action: action.to_owned(),
        subject: subject.map(|(kind, id)| (kind.to_owned(), id.to_owned())),
    }
}

#[test]
fn a_deed_is_named_by_its_route_and_what_it_is_done_to() {
    for (method, route, path, form, expected) in [
        (
            "POST",
            "/tasks/{id}/cancel",
            "/tasks/abc/cancel",
            "",
            deed("cancel", Some(("task", "abc"))),
        ),
        (
            "DELETE",
            "/api/tasks/{id}",
            "/api/tasks/abc",
            "",
            deed("delete", Some(("task", "abc"))),
        ),
        ("POST", "/api/tasks", "/api/tasks", "", deed("send", None)),
        (
            "POST",
            "/tasks/all/rerun",
            "/tasks/all/rerun?state=FAILURE&name=a%2Eb+c",
            "form_token=1",
            deed("rerun", Some(("task", "state=FAILURE&name=a.b c"))),
        ),
        (
            "POST",
            "/dead/redrive",
            "/dead/redrive",
            "form_token=1&service=demo&id=&reason=out+of+luck",
            deed("redrive", Some(("dead letter", "demo out of luck"))),
        ),
        (
            "POST",
            "/services/{name}/pause",
            "/services/a%20b/pause",
            "",
            deed("pause", Some(("service", "a b"))),
        ),
        (
            "POST",
            "/workers/stop",
            "/workers/stop",
            "id=other&worker=demo%40host.1",
            deed("stop", Some(("worker", "demo@host.1"))),
        ),
        ("POST", "/signout", "/signout", "", deed("sign_out", None)),
    ] {
        assert_eq!(
            Deed::of(method, route, path, form.as_bytes()),
            expected,
            "{route}"
        );
    }
}

#[tokio::test]
async fn what_people_do_is_written_down_with_what_came_of_it() {
    let site = Site::with_people().await;
    for role in [Viewer, Operator] {
        let (cookie, token) = site.signed_in(role);
        let known = [("cookie", &*cookie), ("x-form-token", &token)];
        site.post("/tasks/nobodys/cancel", "", &known).await;
    }
    let (cookie, token) = site.signed_in(Operator);
    let form = format!("form_token={token}&service=demo&reason=out+of+luck");
    site.post("/dead/redrive", &form, &[("cookie", &cookie)])
        .await;
    assert_eq!(
        site.trail().await,
        [
            "operator as operator: redrive demo out of luck, the service demo has no dead queue",
            "operator as operator: cancel nobodys, no task has the id \"nobodys\"",
            "viewer as viewer: cancel nobodys, this takes the role operator; viewer is viewer",
        ]
    );
}

#[tokio::test]
async fn what_somebody_chose_is_written_down_in_full_however_much_they_said_before() {
    let site = Site::with_people().await;
    let (cookie, token) = site.signed_in(Operator);
    let known = [("cookie", &*cookie), ("x-form-token", &token)];
    let long = "a".repeat(1000);
    let path = format!("/tasks/all/cancel?creator={long}&state=PENDING");
    site.post(&path, "", &known).await;
    site.post("/tasks/nobodys/cancel", "", &known).await;
    let filter = counterfoil_store::ActionFilter::default();
    let deeds = site.store.operator_actions(&filter).await.expect("read");
    assert_eq!(deeds[0].detail, None);
    assert!(
        !deeds[1]
            .subject
            .as_deref()
            .unwrap_or_default()
            .contains("PENDING")
    );
    let detail = deeds[1].detail.as_ref().expect("all of it").to_value();
    assert_eq!(detail["subject"], format!("creator={long}&state=PENDING"));
}
