package main

import (
	"slices"
	"sync"

	extensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	extensions "k8s.io/apiextensions-apiserver/pkg/apiserver"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/tools/cache"
)

// listCustomGroups keeps the groups of custom resources in `/apis`, which upstream's aggregator does.
func listCustomGroups(server *extensions.CustomResourceDefinitions) {
	definitions := server.Informers.Apiextensions().V1().CustomResourceDefinitions()
	manager := server.GenericAPIServer.DiscoveryGroupManager
	var lock sync.Mutex
	listed := map[string]bool{}
	relist := func() {
		lock.Lock()
		defer lock.Unlock()
		all, err := definitions.Lister().List(labels.Everything())
		must(err) // It is a cache.
		groups := groupsOf(all)
		for name := range listed {
			if _, ok := groups[name]; !ok {
				manager.RemoveGroup(name)
				delete(listed, name)
			}
		}
		for name, group := range groups {
			manager.AddGroup(group)
			listed[name] = true
		}
	}
	_, err := definitions.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { relist() },
		UpdateFunc: func(any, any) { relist() },
		DeleteFunc: func(any) { relist() },
	})
	must(err)
}

func groupsOf(definitions []*extensionsv1.CustomResourceDefinition) map[string]metav1.APIGroup {
	groups := map[string]metav1.APIGroup{}
	for _, definition := range definitions {
		for _, version := range definition.Spec.Versions {
			name := definition.Spec.Group
			found := metav1.GroupVersionForDiscovery{GroupVersion: name + "/" + version.Name, Version: version.Name}
			group := groups[name]
			if !version.Served || slices.Contains(group.Versions, found) {
				continue
			}
			group.Name = name
			group.Versions = append(group.Versions, found)
			group.PreferredVersion = group.Versions[0]
			groups[name] = group
		}
	}
	return groups
}
