//! Circles in graphs.

/// Strongly connected components (Tarjan, without recursion): the number of each node's, and
/// their nodes, contained ones first.
pub(crate) fn components(edges: &[Vec<usize>]) -> (Vec<usize>, Vec<Vec<usize>>) {
    const UNSEEN: usize = usize::MAX;
    let n_nodes = edges.len();
    let mut index = vec![UNSEEN; n_nodes];
    let mut low = vec![0; n_nodes];
    let mut is_open = vec![false; n_nodes];
    let mut open = Vec::new();
    let mut component = vec![0; n_nodes];
    let mut order = Vec::new();
    let mut n_seen = 0;
    for root in 0..n_nodes {
        if index[root] != UNSEEN {
            continue;
        }
        // Node and position of the next edge.
        let mut path = vec![(root, 0)];
        while let Some(&mut (node, ref mut edge)) = path.last_mut() {
            if *edge == 0 && index[node] == UNSEEN {
                index[node] = n_seen;
                low[node] = n_seen;
                n_seen += 1;
                open.push(node);
                is_open[node] = true;
            }
            if let Some(&next) = edges[node].get(*edge) {
                *edge += 1;
                if index[next] == UNSEEN {
                    path.push((next, 0));
                } else if is_open[next] {
                    low[node] = low[node].min(index[next]);
                }
                continue;
            }
            path.pop();
            if let Some(&(parent, _)) = path.last() {
                low[parent] = low[parent].min(low[node]);
            }
            if low[node] == index[node] {
                let mut members = Vec::new();
                while let Some(member) = open.pop() {
                    is_open[member] = false;
                    component[member] = order.len();
                    members.push(member);
                    if member == node {
                        break;
                    }
                }
                members.reverse();
                order.push(members);
            }
        }
    }
    (component, order)
}

#[cfg(test)]
mod tests {
    use super::components;

    #[test]
    fn cycles_are_components() {
        let edges = vec![vec![1], vec![2], vec![1, 3], vec![], vec![4]];
        let (component, order) = components(&edges);
        assert_eq!(component[1], component[2]);
        assert_ne!(component[0], component[1]);
        assert_eq!(order.len(), 4);
        assert!(component[3] < component[1] && component[1] < component[0]);
    }
}
